//! Makes text from a guest or its file safe for people to read. It must not know where the text is shown.

/// Returns `bytes` as text that cannot control a terminal.
///
/// Replaces invalid UTF-8, control characters outside `kept`, and characters that change the direction of text or hide
/// in it, with U+FFFD.
pub(crate) fn printable(bytes: &[u8], kept: &[char]) -> String {
    // Fast path: nearly all names are plain ASCII.
    if bytes.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        return bytes.iter().copied().map(char::from).collect();
    }
    let obeyed = |character: char| {
        character.is_control() && !kept.contains(&character)
            || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(character, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
    };
    String::from_utf8_lossy(bytes).replace(obeyed, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_replaced() {
        let shown = |text: &str| printable(text.as_bytes(), &['\n']);
        assert_eq!(shown("naïve 名前\n"), "naïve 名前\n");
        assert_eq!(shown("\u{1b}[2J\r\t\u{9b}"), "\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(shown("a\u{202e}b\u{200b}c\u{feff}"), "a\u{fffd}b\u{fffd}c\u{fffd}");
        assert_eq!(printable(b"\xff\n", &[]), "\u{fffd}\u{fffd}");
    }
}
