//! Large numbers in narrow columns.

/// A number with its separator: 9 columns, scaled by thousands from 100,000,000 on. In full
/// (`--exact`) it takes the columns that it needs.
pub(crate) fn amount(number: u64, exact: bool) -> String {
    if exact {
        let digits = number.to_string().len();
        let width = if digits > 8 { digits + 1 } else { 9 };
        return format!("{number:>width$}");
    }
    match number {
        0..100_000_000 => format!("{number:>9}"),
        100_000_000..1_000_000_000 => format!("{:>8}K", number / 1_000),
        1_000_000_000..100_000_000_000 => format!("{:>8}M", number / 1_000_000),
        100_000_000_000..100_000_000_000_000 => format!("{:>8}G", number / 1_000_000_000),
        _ => format!("{:>8}T", number / 1_000_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_scaled_by_truncation() {
        for (number, text) in [
            (0, "        0"),
            (99_999_999, " 99999999"),
            (100_000_000, "  100000K"),
            (999_999_999, "  999999K"),
            (1_000_000_000, "    1000M"),
            (99_999_999_999, "   99999M"),
            (100_000_000_000, "     100G"),
            (123_456_789_012, "     123G"),
            (99_999_999_999_999, "   99999G"),
            (100_000_000_000_000, "     100T"),
        ] {
            assert_eq!(amount(number, false), text);
        }
        assert_eq!(amount(99_999_999, true), " 99999999");
        assert_eq!(amount(100_000_000, true), " 100000000");
        assert_eq!(amount(7, true), "        7");
    }
}
