//! Numbers as the C library reads them.

/// A whole number in decimal within a range: leading blanks and one sign are taken, anything
/// after the digits is not.
pub(crate) fn within(text: &str, least: u64, most: u64) -> Option<u64> {
    let digits = text.trim_start_matches(is_space);
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, digits.strip_prefix('+').unwrap_or(digits)),
    };
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    let number = if negative && number != 0 {
        return None;
    } else {
        number
    };
    (least..=most).contains(&number).then_some(number)
}

/// The number at the start of a text, 0 without one; what follows does not matter (`atoi`).
pub(crate) fn leading(text: &str) -> i64 {
    let text = text.trim_start_matches(is_space);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits
        .find(|digit: char| !digit.is_ascii_digit())
        .unwrap_or(digits.len());
    let number = digits[..end].bytes().fold(0i64, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
    });
    if negative { -number } else { number }
}

pub(crate) fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_with_blanks_and_sign_and_nothing_else() {
        for (text, number) in [
            ("7", Some(7)),
            (" \t+7", Some(7)),
            ("010", Some(10)),
            ("-0", Some(0)),
            ("100", Some(100)),
            ("101", None),
            ("-1", None),
            ("", None),
            (" ", None),
            ("+", None),
            ("+-1", None),
            ("0x10", None),
            ("7 ", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(within(text, 0, 100), number, "{text:?}");
        }
        assert_eq!(within("0", 1, 100), None);
    }

    #[test]
    fn leading_digits_are_taken() {
        for (text, number) in [("64x", 64), (" -3", -3), ("x", 0), ("", 0), ("+5", 5)] {
            assert_eq!(leading(text), number, "{text:?}");
        }
        assert_eq!(leading("99999999999999999999"), i64::MAX);
    }
}
