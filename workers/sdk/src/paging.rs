//! Pages of a list, newest first.

use amends_schemas::cursor;
use amends_schemas::limits::{PAGE_DEFAULT, PAGE_MAX};
use amends_schemas::problem::Problem;
use amends_schemas::saga::Page;
use serde_json::Value;

/// Above every position: positions begin with a digit.
const ABOVE_ALL: &str = "~";

/// What page of a list is asked for. A row's position is text that sorts by age, unique within its list; rows are
/// read with `position < before() ORDER BY position DESC LIMIT row_limit()` and handed to [`Paging::page`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging {
    question: String,
    before: String,
    limit: usize,
}

impl Paging {
    /// Reads what a caller gave. The `question` is the list's name with what it is filtered by: a cursor continues only the
    /// list that gave it. No limit is [`PAGE_DEFAULT`]; it is brought into 1 to [`PAGE_MAX`].
    ///
    /// # Errors
    /// `invalid_cursor` for one that no page of this list gave.
    pub fn new(question: &Value, cursor: Option<&str>, limit: Option<usize>) -> Result<Self, Problem> {
        let question = question.to_string();
        let before = match cursor {
            None => ABOVE_ALL,
            Some(cursor) => cursor::open(cursor, &question).ok_or_else(|| {
                Problem::invalid(
                    "invalid_cursor",
                    "the cursor is not one that this list gave; pass next_cursor of the page before as it is",
                )
            })?,
        };
        Ok(Self { before: before.to_owned(), limit: limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX), question })
    }

    /// Rows of the page stand below this position.
    pub fn before(&self) -> &str {
        &self.before
    }

    /// How many rows to read: one more than the page holds tells whether anything follows.
    pub const fn row_limit(&self) -> usize {
        self.limit + 1
    }

    /// The page of these rows, given the position of each.
    pub fn page<T>(&self, mut rows: Vec<T>, position: impl Fn(&T) -> String) -> Page<T> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let last = rows.last().filter(|_| more);
        let next_cursor = last.map(|row| cursor::seal(&position(row), &self.question));
        Page { items: rows, next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Reads a list of the numbers below ten as a context would.
    fn ask(question: &Value, cursor: Option<&str>, limit: usize) -> Result<Page<u8>, Problem> {
        let paging = Paging::new(question, cursor, Some(limit))?;
        let below = (0..10).rev().filter(|row: &u8| row.to_string().as_str() < paging.before());
        Ok(paging.page(below.take(paging.row_limit()).collect(), u8::to_string))
    }

    #[test]
    fn pages_follow_one_another_to_the_end() {
        let question = json!(["numbers", "all"]);
        let first = ask(&question, None, 4).expect("the first");
        assert_eq!(first.items, [9, 8, 7, 6]);
        let second = ask(&question, first.next_cursor.as_deref(), 5).expect("its cursor");
        assert_eq!(second.items, [5, 4, 3, 2, 1]);
        let last = ask(&question, second.next_cursor.as_deref(), 1).expect("its cursor");
        assert_eq!((last.items, last.next_cursor), (vec![0], None));
    }

    #[test]
    fn a_cursor_belongs_to_its_list() {
        let given = ask(&json!(["numbers", "all"]), None, 1).expect("the first").next_cursor.expect("more");
        for (question, cursor) in [
            (json!(["numbers", "odd"]), given.as_str()),
            (json!(["numbers", "all"]), ""),
            (json!(["numbers", "all"]), "nonsense"),
            (json!(["numbers", "all"]), &given[1..]),
        ] {
            assert_eq!(ask(&question, Some(cursor), 1).expect_err(cursor).code, "invalid_cursor");
        }
    }

    #[test]
    fn a_page_is_bounded() {
        for (limit, rows) in [(None, PAGE_DEFAULT), (Some(0), 1), (Some(7), 7), (Some(usize::MAX), PAGE_MAX)] {
            let paging = Paging::new(&json!("numbers"), None, limit).expect("no cursor");
            assert_eq!(paging.row_limit(), rows + 1, "{limit:?}");
        }
    }
}
