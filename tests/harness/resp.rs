//! The protocol of Redis as far as a wire has to know it: where a value ends, and what the words of a command are.
//!
//! RESP 2 and 3, by the specification of the protocol. Not here: what becomes of a value (`proxy`).

/// How many bytes the first whole value takes; `None` while some of it is missing.
#[must_use]
pub fn whole(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let after = line + 2;
    let number = || std::str::from_utf8(&bytes[1..line]).ok()?.parse::<usize>().ok();
    let end = match bytes[0] {
        // of nothing (-1) there is no more than this line
        b'$' | b'=' | b'!' => number().map_or(after, |length| after + length + 2),
        b'*' | b'~' | b'>' => items(bytes, after, number().unwrap_or_default())?,
        b'%' | b'|' => items(bytes, after, 2 * number().unwrap_or_default())?,
        _ => after,
    };
    (bytes.len() >= end).then_some(end)
}

fn items(bytes: &[u8], mut end: usize, count: usize) -> Option<usize> {
    for _ in 0..count {
        end += whole(bytes.get(end..)?)?;
    }
    Some(end)
}

/// Is it sent without having been asked for?
#[must_use]
pub fn is_push(value: &[u8]) -> bool {
    value.first() == Some(&b'>')
}

/// The words of a command: a whole array of strings.
#[must_use]
pub fn words(command: &[u8]) -> Vec<&[u8]> {
    let mut words = Vec::new();
    let mut rest = command.iter().position(|byte| *byte == b'\n').map_or(&[][..], |at| &command[at + 1..]);
    while let Some(length) = whole(rest).filter(|length| *length > 0) {
        let (word, others) = rest.split_at(length);
        let text = word.iter().position(|byte| *byte == b'\n').map_or(&[][..], |at| &word[at + 1..]);
        words.push(text.strip_suffix(b"\r\n").unwrap_or(text));
        rest = others;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_whole_when_its_last_byte_is_there() {
        let values: [&[u8]; 8] = [
            b"+OK\r\n",
            b":17\r\n",
            b"$-1\r\n",
            b"*-1\r\n",
            b"$5\r\nab\r\nc\r\n",
            b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
            b"%1\r\n+a\r\n_\r\n",
            b">1\r\n+a\r\n",
        ];
        for value in values {
            let more = [value, b"+next\r\n"].concat();
            assert_eq!(whole(&more), Some(value.len()));
            assert!((0..value.len()).all(|some| whole(&value[..some]).is_none()));
        }
    }

    #[test]
    fn a_command_is_a_list_of_words() {
        let command = b"*3\r\n$7\r\nEVALSHA\r\n$0\r\n\r\n$4\r\na\r\nb\r\n";
        assert_eq!(words(command), [&b"EVALSHA"[..], b"", b"a\r\nb"]);
    }
}
