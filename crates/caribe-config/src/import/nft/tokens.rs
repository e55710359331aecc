//! A line of `nft list ruleset` as tokens.

/// A word, a punctuation mark, or a quoted text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'l> {
    Word(&'l str),
    Quoted(&'l str),
}

impl<'l> Token<'l> {
    pub(super) fn is(&self, word: &str) -> bool {
        *self == Token::Word(word)
    }

    pub(super) fn word(&self) -> Option<&'l str> {
        match self {
            Token::Word(word) => Some(word),
            Token::Quoted(_) => None,
        }
    }
}

/// The tokens up to a comment. nft has no escapes in quoted texts.
pub(super) fn tokens(line: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '#' => break,
            '"' => {
                let text = &rest[1..];
                let end = text.find('"').unwrap_or(text.len());
                tokens.push(Token::Quoted(&text[..end]));
                rest = text.get(end + 1..).unwrap_or_default().trim_start();
                continue;
            }
            '{' | '}' | ',' | ';' => 1,
            _ => rest
                .find(|c: char| c.is_whitespace() || matches!(c, '{' | '}' | ',' | ';' | '"'))
                .unwrap_or(rest.len()),
        };
        tokens.push(Token::Word(&rest[..length]));
        rest = rest[length..].trim_start();
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_in_quotes_are_text() {
        let line = "ip6 daddr ::1 tcp dport {80,443-444} log prefix \"x { y\" accept # handle 3";
        let words: Vec<String> = tokens(line)
            .iter()
            .map(|token| match token {
                Token::Word(word) => (*word).to_owned(),
                Token::Quoted(text) => format!("\"{text}\""),
            })
            .collect();
        assert_eq!(
            words.join(" "),
            "ip6 daddr ::1 tcp dport { 80 , 443-444 } log prefix \"x { y\" accept"
        );
        assert_eq!(
            tokens("a \"open"),
            [Token::Word("a"), Token::Quoted("open")]
        );
        assert_eq!(tokens("  # nothing"), []);
    }
}
