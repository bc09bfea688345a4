//! Checks answers against the OpenAPI document.

use jsonschema::Validator;
use serde_json::{Value, json};

/// The document, ready to check with.
pub struct Document(pub Value);

impl Document {
    pub fn served() -> Self {
        Self(serde_json::to_value(amends_api::router::openapi()).expect("plain data"))
    }

    /// The path template that a path matches.
    pub fn template(&self, path: &str) -> Option<String> {
        let path = path.split('?').next().expect("has a first part");
        let segments: Vec<&str> = path.split('/').collect();
        let matches = |template: &str| {
            let parts: Vec<&str> = template.split('/').collect();
            parts.len() == segments.len()
                && parts.iter().zip(&segments).all(|(part, segment)| part.starts_with('{') || part == segment)
        };
        let paths = self.0["paths"].as_object().expect("paths");
        paths.keys().filter(|template| matches(template)).max_by_key(|template| !template.contains('{')).cloned()
    }

    /// Panics unless the document allows this answer.
    pub fn check(&self, method: &str, path: &str, status: u16, content_type: &str, body: &Value) {
        let Some(template) = self.template(path) else { return };
        let operation = &self.0["paths"][&template][method.to_lowercase()];
        if operation.is_null() {
            return;
        }
        let responses = operation["responses"].as_object().expect("responses");
        let response = responses
            .get(&status.to_string())
            .or_else(|| responses.get("default").filter(|_| status >= 400))
            .unwrap_or_else(|| panic!("{method} {template} answered {status}, which the document does not name"));
        let media_type = content_type.split(';').next().expect("has a first part").trim();
        let content = &response["content"][media_type];
        assert!(!content.is_null(), "{method} {template} {status}: {media_type} is not in the document");
        if media_type.ends_with("json") {
            let validator = self.validator(&content["schema"]);
            let errors: Vec<String> =
                validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert!(errors.is_empty(), "{method} {template} {status}: {errors:?} in {body:#}");
        }
    }

    /// Whether a document is of a component's shape.
    pub fn validator(&self, schema: &Value) -> Validator {
        let mut schema = schema.clone();
        schema["components"] = self.0["components"].clone();
        jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .should_validate_formats(true)
            .build(&schema)
            .expect("the document's schemas are JSON Schemas")
    }

    pub fn component(&self, name: &str) -> Validator {
        self.validator(&json!({"$ref": format!("#/components/schemas/{name}")}))
    }
}
