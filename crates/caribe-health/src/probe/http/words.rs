//! The parts of a request, each of which is legal once it is there.

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

/// A part of a request that HTTP does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// Not a method.
    #[error("`{0}` is no HTTP method")]
    Method(String),
    /// Not a path.
    #[error("`{0}` is no path of a request: it must begin with `/`, without blanks and `#`")]
    Path(String),
    /// Not a host.
    #[error("`{0}` is no host, with or without a port, to ask for")]
    Host(String),
    /// Not a header field.
    #[error("`{0}` is no header field")]
    Field(String),
    /// A header field that decides where the request ends or whom it is for.
    #[error("the header field `{0}` is the probe's own business; `Host` has a setting of its own")]
    Reserved(String),
}

/// A method.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Method(http::Method);

impl Method {
    pub(super) fn as_http(&self) -> &http::Method {
        &self.0
    }
}

impl TryFrom<String> for Method {
    type Error = WordError;

    fn try_from(word: String) -> Result<Method, WordError> {
        let method = http::Method::from_bytes(word.as_bytes());
        // CONNECT would make the connection something else than HTTP.
        match method {
            Ok(method) if method != http::Method::CONNECT => Ok(Method(method)),
            _ => Err(WordError::Method(word)),
        }
    }
}

impl From<Method> for String {
    fn from(method: Method) -> String {
        method.0.as_str().to_owned()
    }
}

/// A path, with or without a query.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestTarget(String);

impl RequestTarget {
    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for RequestTarget {
    fn default() -> RequestTarget {
        RequestTarget("/".to_owned())
    }
}

impl TryFrom<String> for RequestTarget {
    type Error = WordError;

    fn try_from(path: String) -> Result<RequestTarget, WordError> {
        let legal = path.starts_with('/') && !path.contains('#');
        if legal && PathAndQuery::try_from(path.as_str()).is_ok() {
            Ok(RequestTarget(path))
        } else {
            Err(WordError::Path(path))
        }
    }
}

impl From<RequestTarget> for String {
    fn from(path: RequestTarget) -> String {
        path.0
    }
}

/// A host, with or without a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Authority(String);

impl Authority {
    /// The host.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Authority {
    type Error = WordError;

    fn try_from(host: String) -> Result<Authority, WordError> {
        match http::uri::Authority::try_from(host.as_str()) {
            Ok(authority) if !authority.host().is_empty() && !host.contains('@') => {
                Ok(Authority(host))
            }
            _ => Err(WordError::Host(host)),
        }
    }
}

impl From<Authority> for String {
    fn from(host: Authority) -> String {
        host.0
    }
}

/// A header field, written as `Name: value`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Field {
    name: HeaderName,
    value: HeaderValue,
}

impl Field {
    /// Fields that the probe sets itself, or whose meaning it would have to know.
    const RESERVED: [&str; 7] = [
        "host",
        "content-length",
        "transfer-encoding",
        "upgrade",
        "expect",
        "te",
        "trailer",
    ];

    /// A field of that name and value.
    ///
    /// # Errors
    ///
    /// Both must be legal, and the name must not be one of those that frame a request.
    pub fn new(name: &str, value: &str) -> Result<Field, WordError> {
        let refused = || WordError::Field(format!("{name}: {value}"));
        let field = Field {
            name: HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?,
            value: HeaderValue::from_str(value).map_err(|_| refused())?,
        };
        if Field::RESERVED.contains(&field.name.as_str()) {
            return Err(WordError::Reserved(name.to_owned()));
        }
        Ok(field)
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.name.as_str() == name
    }

    pub(super) fn as_http(&self) -> (HeaderName, HeaderValue) {
        (self.name.clone(), self.value.clone())
    }
}

impl TryFrom<String> for Field {
    type Error = WordError;

    fn try_from(line: String) -> Result<Field, WordError> {
        match line.split_once(':') {
            Some((name, value)) => Field::new(name.trim(), value.trim()),
            None => Err(WordError::Field(line)),
        }
    }
}

impl From<Field> for String {
    fn from(field: Field) -> String {
        // The type is made from text only.
        format!(
            "{}: {}",
            field.name,
            String::from_utf8_lossy(field.value.as_bytes())
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_would_break_a_request_gets_in() {
        for word in ["", "GE T", "GET\r\n", "CONNECT"] {
            assert!(Method::try_from(word.to_owned()).is_err(), "{word:?}");
        }
        for path in ["", "index", "/a b", "/a\r\nX: y", "/#top", "*"] {
            assert!(
                RequestTarget::try_from(path.to_owned()).is_err(),
                "{path:?}"
            );
        }
        for host in ["", "a b", "a\r\nb", "user@host", ":80", "a/b"] {
            assert!(Authority::try_from(host.to_owned()).is_err(), "{host:?}");
        }
        for line in [
            "",
            "no colon",
            ": x",
            "a b: c",
            "X: a\r\nY: b",
            "Host: x",
            "Content-Length: 7",
        ] {
            assert!(Field::try_from(line.to_owned()).is_err(), "{line:?}");
        }
    }

    #[test]
    fn what_is_read_is_written_back() {
        let field = Field::try_from("X-Probe:  yes: really".to_owned()).expect("a field");
        assert_eq!(String::from(field), "x-probe: yes: really");
        let path = RequestTarget::try_from("/health?deep=1".to_owned()).expect("a path");
        assert_eq!(String::from(path), "/health?deep=1");
        let method = Method::try_from("PURGE".to_owned()).expect("a method");
        assert_eq!(String::from(method), "PURGE");
        let host = Authority::try_from("[2001:db8::1]:80".to_owned()).expect("a host");
        assert_eq!(host.as_str(), "[2001:db8::1]:80");
    }
}
