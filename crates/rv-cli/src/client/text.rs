//! How values are written for people.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rv_client::rv_proto::Time;

/// Text that came from elsewhere, without what would move the cursor, break a line or a column, or
/// turn the direction of writing.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        if is_plain(character) {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
    }
    shown
}

fn is_plain(character: char) -> bool {
    // What is marked as formatting in Unicode and turns the direction of what follows.
    let turns = matches!(
        character,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}'
    );
    let is_line = matches!(character, '\u{2028}' | '\u{2029}');
    !character.is_control() && !turns && !is_line
}

/// The same for text that stands between blanks.
pub(super) fn word(text: &str) -> String {
    let mut word = String::new();
    for character in shown(text).chars() {
        if character.is_whitespace() {
            word.extend(character.escape_unicode());
        } else {
            word.push(character);
        }
    }
    word
}

/// Whole seconds, as "1h 59m".
pub(super) fn duration(secs: u64) -> String {
    humantime::format_duration(Duration::from_secs(secs)).to_string()
}

/// Seconds from now until then, none if it is past.
pub(super) fn secs_until(then: Time) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    then.as_millis().saturating_sub(now).div_ceil(1_000)
}

/// "1 peer", "2 peers".
pub(super) fn count(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_elsewhere_does_not_reach_the_terminal_as_it_is() {
        assert_eq!(shown("caf\u{e9} bar"), "caf\u{e9} bar");
        assert_eq!(
            shown("a\u{1b}[2Jb\nc\u{202e}d"),
            "a\\u{1b}[2Jb\\nc\\u{202e}d"
        );
        assert_eq!(word("a b\tc"), "a\\u{20}b\\tc");
    }

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(duration(7_190), "1h 59m 50s");
        assert_eq!(count(1, "peer"), "1 peer");
        assert_eq!(count(0, "peer"), "0 peers");
    }
}
