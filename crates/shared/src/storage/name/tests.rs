//! Names that sites and people give, and what a browser makes of the header that carries them.

use super::*;

#[test]
fn a_stem_is_safe_on_every_system() {
    for (title, stem) in [
        ("Big Buck Bunny", "Big Buck Bunny"),
        ("Don't look — naïve 東京 👩‍👩‍👧", "Don't look — naïve 東京 👩‍👩‍👧"),
        ("AC/DC: Live \\ 1979 | full", "AC-DC- Live - 1979 - full"),
        ("say \"what?\" <b>*</b>", "say what b-b"),
        ("a\n\tb\u{a0}\u{2003} c\u{2028}d", "a b c d"),
        ("a\0b\x1b[31mc\u{7f}\u{85}d\u{9b}", "ab[31mc d"),
        ("\u{202e}gpj.exe", "gpj.exe"),
        ("\u{2066}a\u{200f}\u{61c}\u{200b}b\u{feff}", "ab"),
        ("-rf", "rf"),
        ("--exec=sh", "exec=sh"),
        (".hidden", "hidden"),
        (". . -x", "x"),
        ("../../etc/passwd", "etc-passwd"),
        ("..", NAMELESS),
        ("", NAMELESS),
        (" \t ", NAMELESS),
        ("???", NAMELESS),
        ("\u{202e}\u{200b}", NAMELESS),
        ("end. . .", "end"),
        ("CON", "_CON"),
        ("con .txt", "_con .txt"),
        ("aux.mp4", "_aux.mp4"),
        ("?nul", "_nul"),
        ("LPT9", "_LPT9"),
        ("com¹", "_com¹"),
        ("COM10", "COM10"),
        ("console", "console"),
        ("%(id)s 100%", "%(id)s 100%"),
    ] {
        assert_eq!(clean_stem(title), stem, "{title:?}");
    }
}

#[test]
fn a_long_title_is_cut_between_characters() {
    assert_eq!(clean_stem(&"a".repeat(400)).len(), 150);
    let cut = clean_stem(&format!("a{}", "東".repeat(100)));
    assert_eq!((cut.len(), cut.chars().count()), (148, 50));
    assert_eq!(clean_stem(&format!("{} .. tail", "a".repeat(147))), "a".repeat(147));
}

proptest::proptest! {
    #[test]
    fn a_stem_cleaned_again_is_the_same(title in "\\PC{0,80}|[./\\\\\" \\-\\x00-\\x1f\u{202e}conCON1]{0,12}") {
        let stem = clean_stem(&title);
        proptest::prop_assert!((1..=STEM_BYTES).contains(&stem.len()));
        proptest::prop_assert_eq!(&clean_stem(&stem), &stem);
    }
}

#[test]
fn a_disposition_carries_the_whole_name_and_a_plain_one() {
    for (filename, inline, header) in [
        ("talk.mp4", false, "attachment; filename=\"talk.mp4\"; filename*=UTF-8''talk.mp4"),
        ("a b.mp4", true, "inline; filename=\"a b.mp4\"; filename*=UTF-8''a%20b.mp4"),
        ("naïve 東.mp3", false, "attachment; filename=\"na_ve _.mp3\"; filename*=UTF-8''na%C3%AFve%20%E6%9D%B1.mp3"),
        ("it's 100%.mkv", false, "attachment; filename=\"it's 100_.mkv\"; filename*=UTF-8''it%27s%20100%25.mkv"),
        ("a\"; x=\"\\.mp4", false, "attachment; filename=\"a_; x=__.mp4\"; filename*=UTF-8''a%22%3B%20x%3D%22%5C.mp4"),
        ("a\r\nSet-Cookie: b", false, "attachment; filename=\"aSet-Cookie: b\"; filename*=UTF-8''aSet-Cookie%3A%20b"),
        ("\u{202e}gpj.exe", true, "inline; filename=\"gpj.exe\"; filename*=UTF-8''gpj.exe"),
    ] {
        assert_eq!(content_disposition(filename, inline), header, "{filename:?}");
    }
}

#[test]
fn only_media_have_a_type() {
    assert_eq!(content_type_of("mkv"), "video/x-matroska");
    assert_eq!(content_type_of("opus"), "audio/ogg");
    for other in ["html", "svg", "MP4", "", "exe"] {
        assert_eq!(content_type_of(other), "application/octet-stream");
    }
}

/// What a client that keeps to RFC 6266 and RFC 8187 reads: the plain name and the whole one. `None`: it is no such header.
fn read(header: &str) -> Option<(String, String)> {
    let rest = header.strip_prefix("attachment; filename=\"")?;
    let (plain, encoded) = rest.split_once("\"; filename*=UTF-8''")?;
    // of a quoted string nothing has to be unquoted, and old clients decode no `%`
    let is_plain = plain.bytes().all(|b| (b == b' ' || b.is_ascii_graphic()) && !b"\"\\%/".contains(&b));
    let mut bytes = Vec::new();
    let mut left = encoded.bytes();
    while let Some(byte) = left.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [left.next()?, left.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) => byte,
            _ => return None,
        });
    }
    is_plain.then_some((plain.to_owned(), String::from_utf8(bytes).ok()?))
}

/// From a title to what is on a client's disk; checks what has to be true of any.
fn arrives(title: &str) -> (String, String) {
    let name = format!("{}.mp4", clean_stem(title));
    let header = content_disposition(&name, false);
    assert!(header.bytes().all(|b| b == b' ' || b.is_ascii_graphic()), "one line of ASCII: {header:?}");
    let (plain, whole) = read(&header).unwrap_or_else(|| panic!("{title:?} gives {header}"));
    assert_eq!(whole, name, "{title:?}");
    assert!(name.len() <= 255 && plain.len() <= 255, "{title:?}");
    for name in [&plain, &whole] {
        assert!(
            !name.contains(['/', '\\', ':', '*', '?', '"', '<', '>', '|']) && !name.contains(is_unseen),
            "{name:?}"
        );
        assert!(!name.starts_with(['.', '-', ' ']) && !name.ends_with(['.', ' ']), "{name:?}");
        assert!(!reserved(name), "{name:?}");
    }
    (plain, whole)
}

/// The cases in which the tests of the npm package `content-disposition` make a header, written anew; where that package
/// quotes, or keeps what some clients misread, ours leaves it out.
#[test]
fn the_header_is_read_back_as_the_name_and_is_stricter_than_others_are() {
    for (title, plain, whole) in [
        ("plans", "plans.mp4", "plans.mp4"),
        ("plan with spaces", "plan with spaces.mp4", "plan with spaces.mp4"),
        ("the \"plans\"", "the plans.mp4", "the plans.mp4"),
        ("/path/to/plans", "path-to-plans.mp4", "path-to-plans.mp4"),
        ("C:\\path\\plans", "C--path-plans.mp4", "C--path-plans.mp4"),
        ("the%20plans", "the_20plans.mp4", "the%20plans.mp4"),
        ("%E2%82%AC", "_E2_82_AC.mp4", "%E2%82%AC.mp4"),
        ("«plans»", "_plans_.mp4", "«plans».mp4"),
        ("планы", "_____.mp4", "планы.mp4"),
        ("£ and € rates", "_ and _ rates.mp4", "£ and € rates.mp4"),
        ("€ rates (1)", "_ rates (1).mp4", "€ rates (1).mp4"),
        ("it's a plan", "it's a plan.mp4", "it's a plan.mp4"),
        ("€'*%()", "_'_().mp4", "€'%().mp4"),
        ("a;b=c, d", "a;b=c, d.mp4", "a;b=c, d.mp4"),
        ("UTF-8''x", "UTF-8''x.mp4", "UTF-8''x.mp4"),
        ("x\"; filename=\"y.exe", "x; filename=y.exe.mp4", "x; filename=y.exe.mp4"),
        ("x\r\nSet-Cookie: a=b", "x Set-Cookie- a=b.mp4", "x Set-Cookie- a=b.mp4"),
        ("日本語 👩‍👩‍👧 naïve", "___ _____ na_ve.mp4", "日本語 👩‍👩‍👧 naïve.mp4"),
    ] {
        assert_eq!(arrives(title), (plain.to_owned(), whole.to_owned()), "{title:?}");
    }
}

/// Strings of the kinds that lists of naughty strings have, made here.
#[test]
fn no_title_makes_a_header_of_its_own_or_a_name_that_a_system_takes_for_something_else() {
    let long = "x".repeat(10_000);
    let wide = "東".repeat(10_000);
    let flags = "🏳\u{fe0f}\u{200d}🌈".repeat(500);
    let zalgo = format!("Z{}", "\u{0300}\u{0489}".repeat(300));
    let controls: String = (0..=0x9f_u8).map(char::from).collect();
    for title in [
        "",
        "undefined",
        "null",
        "NaN",
        "-1/0",
        "0x0",
        "1E+02",
        "$HOME",
        "$(touch /tmp/p)",
        "`id`",
        "; rm -rf /",
        "| cat",
        "<script>alert(1)</script>",
        "\" onload=\"x",
        "../../../../etc/passwd%00",
        "..\\..\\boot.ini",
        "%0d%0aX: y",
        "%s%n%p",
        "{0}",
        "%(id)s",
        "${jndi:ldap://a}",
        "CON",
        "con",
        "nul.tar.gz",
        "COM1 ",
        "LPT\u{b9}",
        "AUX:",
        "...",
        ". .",
        "~",
        "-rf",
        "--exec",
        "@file",
        "\u{feff}bom",
        "\u{202e}4pm.exe",
        "\u{2066}a\u{2069}",
        "\u{200b}\u{200b}",
        "a\u{2028}b",
        "\u{fffd}\u{ffff}",
        "\u{e0001}tag",
        "\0",
        "\u{1b}[2J",
        "ﷺ",
        "Ω≈ç√∫˜µ≤≥÷",
        "ด้้้้้็็็็็้้้้้",
        "Power لُلُصّبُلُلصّبُررً ॣ ॣh ॣ ॣ 冗",
        "🏳0🌈\u{fe0f}",
        "desktop.ini",
        "thumbs.db",
        ".htaccess",
        "a".repeat(149).as_str(),
        &long,
        &wide,
        &flags,
        &zalgo,
        &controls,
    ] {
        arrives(title);
    }
}

proptest::proptest! {
    #[test]
    fn any_title_arrives_as_it_was_cleaned(title in "(?s).{0,200}") {
        arrives(&title);
    }
}
