//! "Did you mean": the word that was probably meant.

/// The candidate that is closest to a word, if any is close.
pub(crate) fn closest<'c>(
    word: &[u8],
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let word = String::from_utf8_lossy(word).to_lowercase();
    let length = word.chars().count();
    if length > 40 {
        return None; // no key is that long, and the distance costs length squared
    }
    let furthest = (length / 3).clamp(1, 4);
    candidates
        .into_iter()
        .map(|candidate| {
            // Blanks, `-` and `_` are the usual slips.
            let plain = word.replace('-', "_");
            let distance = match length >= 4 && candidate.starts_with(&plain) {
                true => 1, // a word that was cut off
                false => strsim::damerau_levenshtein(&plain, candidate),
            };
            (distance, candidate)
        })
        .filter(|(distance, candidate)| *distance <= furthest && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 4] = ["port", "protocol", "persistent", "sorry_server"];

    #[test]
    fn slips_find_their_word_and_strangers_do_not() {
        assert_eq!(closest(b"prot", KEYS), Some("port"));
        assert_eq!(closest(b"Port", KEYS), Some("port"));
        assert_eq!(closest(b"sorry-server", KEYS), Some("sorry_server"));
        assert_eq!(closest(b"persistant", KEYS), Some("persistent"));
        assert_eq!(closest(b"sorry", KEYS), Some("sorry_server"));
        assert_eq!(closest(b"colour", KEYS), None);
        assert_eq!(closest(&[0xff; 100], KEYS), None);
    }
}
