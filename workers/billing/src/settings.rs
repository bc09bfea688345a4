//! What an operator says about the seller.

use chrono_tz::Tz;
use serde::Deserialize;

use crate::domain::{PostalAddress, Seller, Siren};

/// The settings of this context. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BillingSettings {
    /// Who issues the documents; frozen into each.
    pub seller: Seller,
    /// The seller's time zone: it says on which day, and so in which year's series, a document is issued.
    pub timezone: Tz,
    /// Printed where no tax is charged.
    pub exemption: String,
}

/// The mention of a seller below the threshold of the French value added tax.
pub(crate) const EXEMPTION_DEFAULT: &str = "TVA non applicable, art. 293 B du CGI";

impl Default for BillingSettings {
    /// A made-up seller, for development only: its SIREN (the one INSEE uses in examples) belongs to no business of ours.
    fn default() -> Self {
        Self {
            seller: Seller {
                name: "Amends Development".to_owned(),
                legal_form: "SAS".to_owned(),
                share_capital: Some("10 000 €".to_owned()),
                registry: Some("RCS Paris 732 829 320".to_owned()),
                siren: Siren::EXAMPLE,
                vat_id: Some("FR44732829320".to_owned()),
                address: PostalAddress {
                    street: "1 rue de l'Exemple".to_owned(),
                    postal_code: "75001".to_owned(),
                    city: "Paris".to_owned(),
                    country: "FR".to_owned(),
                },
                email: Some("billing@amends.invalid".to_owned()),
            },
            timezone: Tz::Europe__Paris,
            exemption: EXEMPTION_DEFAULT.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_name_the_seller_and_nothing_unknown() {
        let settings: BillingSettings = serde_json::from_value(serde_json::json!({
            "seller": {
                "name": "Durand", "legal_form": "EI", "siren": "732829320",
                "address": {"street": "2 quai", "postal_code": "69001", "city": "Lyon", "country": "FR"},
            },
            "timezone": "Europe/Paris",
        }))
        .expect("valid");
        assert_eq!(settings.seller.name, "Durand");
        assert_eq!(settings.exemption, EXEMPTION_DEFAULT);
        let error = serde_json::from_str::<BillingSettings>(r#"{"sellr": {}}"#).expect_err("unknown key");
        assert!(error.to_string().contains("sellr"), "{error}");
    }
}
