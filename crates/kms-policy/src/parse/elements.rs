//! Takes the elements out of a JSON object one by one, so that what is left over is seen and refused.

use super::{ParseError, Place};
use crate::json::Json;
use crate::policy::Match;

/// The elements of an object that are not read yet.
pub(super) struct Elements {
    pub(super) place: Place,
    left: Vec<(String, Json)>,
}

impl Elements {
    pub(super) fn of(place: Place, json: Json, name: &'static str) -> Result<Self, ParseError> {
        match json {
            Json::Object(left) => Ok(Self { place, left }),
            _ => Err(ParseError::WrongType {
                place,
                name,
                expected: "an object",
            }),
        }
    }

    pub(super) fn wrong(&self, name: &'static str, expected: &'static str) -> ParseError {
        ParseError::WrongType {
            place: self.place,
            name,
            expected,
        }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Json> {
        let at = self.left.iter().position(|(key, _)| key == name)?;
        Some(self.left.swap_remove(at).1)
    }

    pub(super) fn must(&mut self, name: &'static str) -> Result<Json, ParseError> {
        self.take(name).ok_or(ParseError::MissingElement {
            place: self.place,
            name,
        })
    }

    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, ParseError> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "text")),
        }
    }

    /// One text, or a list of at least one.
    pub(super) fn texts(&self, name: &'static str, json: Json) -> Result<Vec<String>, ParseError> {
        let expected = "text, or a list of at least one text";
        let items = match json {
            Json::Text(text) => return Ok(vec![text]),
            Json::List(items) if !items.is_empty() => items,
            _ => return Err(self.wrong(name, expected)),
        };
        let text = |item| match item {
            Json::Text(text) => Ok(text),
            _ => Err(self.wrong(name, expected)),
        };
        items.into_iter().map(text).collect()
    }

    pub(super) fn either<T>(
        &mut self,
        one: &'static str,
        other: &'static str,
        read: impl Fn(&Self, &'static str, Json) -> Result<Vec<T>, ParseError>,
    ) -> Result<Match<T>, ParseError> {
        let place = self.place;
        match (self.take(one), self.take(other)) {
            (Some(json), None) => Ok(Match::Named(read(self, one, json)?)),
            (None, Some(json)) => Ok(Match::Others(read(self, other, json)?)),
            (Some(_), Some(_)) => Err(ParseError::Both { place, one, other }),
            (None, None) => Err(ParseError::MissingElement { place, name: one }),
        }
    }

    pub(super) fn none_left(self) -> Result<(), ParseError> {
        match self.left.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(ParseError::UnknownElement {
                place: self.place,
                name,
            }),
        }
    }
}
