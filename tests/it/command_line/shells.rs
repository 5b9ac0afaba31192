//! What shells and manuals are told.

use anyhow::Result;
use haul_tests::command_line::Person;
use tokio::process::Command;

#[tokio::test]
async fn completions_are_scripts_and_each_command_has_a_page_of_the_manual() -> Result<()> {
    let person = Person::at("http://127.0.0.1:9")?;
    for (shell, word) in [("bash", "_haul()"), ("zsh", "#compdef haul"), ("fish", "complete -c haul")] {
        let said = person.types(&["completions", shell]).await?;
        assert!(said.code == Some(0) && said.out.contains(word) && said.out.contains("sponsorblock-remove"), "{shell}");
        std::fs::write(person.folder().join(shell), said.out)?;
    }
    assert!(Command::new("bash").arg("-n").arg(person.folder().join("bash")).status().await?.success());

    let page = person.types(&["man"]).await?;
    assert!(page.out.contains(".TH haul 1") && page.out.contains("130  Ctrl\\-C"), "{}", page.out);
    assert_eq!(person.types(&["man", "pages"]).await?.code, Some(0));
    for name in ["haul", "haul-get", "haul-save", "haul-list", "haul-completions"] {
        let page = String::from_utf8(person.read(&format!("pages/{name}.1"))?)?;
        for head in [".TH ", ".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION"] {
            assert!(page.contains(head), "{head} in {name}");
        }
        // a line that begins with a dot and is no request of roff would be lost
        let requests = page.lines().filter(|line| line.starts_with(['.', '\'']));
        let known = [".ie", ".el", ".TH", ".SH", ".SS", ".TP", ".PP", ".RS", ".RE", ".br", ".nf", ".fi", ".IP", ".B"];
        let odd: Vec<_> =
            requests.filter(|line| !known.contains(&line.split(' ').next().unwrap_or_default())).collect();
        assert_eq!(odd, [""; 0], "{name}");
    }
    Ok(())
}
