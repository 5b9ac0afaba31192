//! The page for operators, and the dashboard as Grafana reads it.

use super::*;

#[test]
fn each_alert_has_its_entry_in_the_manual_and_each_entry_its_alert() -> Result<()> {
    let manual = file("docs/OPERATIONS.md")?;
    let entries: BTreeSet<String> =
        named(&manual, "### ").filter(|title| title.starts_with("Haul")).map(str::to_owned).collect();
    assert_eq!(entries, alerts()?);
    for entry in manual.split("\n### Haul").skip(1) {
        let text = entry.split("\n## ").next().unwrap_or_default();
        for part in ["**Means.**", "**See.**", "**Do.**"] {
            assert!(text.contains(part), "no {part} in {}", entry.lines().next().unwrap_or_default());
        }
    }
    Ok(())
}

#[test]
fn rules_and_dashboard_ask_for_what_is_recorded_under_that_name() -> Result<()> {
    let recording = file("deploy/prometheus/rules/recording.yml")?;
    let recorded: BTreeSet<String> = named(&recording, "record: ").map(str::to_owned).collect();
    let mut asked = metrics_in(&file("deploy/prometheus/rules/alerts.yml")?);
    asked.extend(recording.lines().filter(|line| !line.contains("record: ")).flat_map(metrics_in));
    asked.extend(questions()?.iter().flat_map(|question| metrics_in(&question.expression)));
    let asked: BTreeSet<String> = asked.into_iter().filter(|name| name.contains(':')).collect();
    assert_eq!(asked, recorded, "a series that is not recorded, or one that nobody looks at");
    Ok(())
}

#[test]
fn the_dashboard_is_one_that_grafana_shows_anywhere() -> Result<()> {
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana/haul.json")?)?;
    // an id is of one Grafana; the uid is of the dashboard
    assert!(dashboard["id"].is_null() && dashboard["uid"] == "haul" && dashboard["schemaVersion"] == 38);
    let variables: BTreeSet<&str> = dashboard["templating"]["list"]
        .as_array()
        .context("variables")?
        .iter()
        .filter_map(|variable| variable["name"].as_str())
        .collect();
    assert_eq!(variables, BTreeSet::from(["datasource", "instance", "region"]));

    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().context("panels")? {
        let title = panel["title"].as_str().context("a title")?;
        assert!(ids.insert(panel["id"].as_u64().context("an id")?), "the id of {title} comes twice");
        let grid = ["x", "y", "w", "h"].map(|name| panel["gridPos"][name].as_u64().unwrap_or(u64::MAX));
        let [x, y, w, h] = grid;
        assert!(w > 0 && h > 0 && x.saturating_add(w) <= 24, "{title} is not on the grid");
        for place in (x..x + w).flat_map(|column| (y..y + h).map(move |line| (column, line))) {
            assert!(taken.insert(place), "{title} covers another panel");
        }
        if panel["type"] == "row" {
            continue;
        }
        assert!(["stat", "timeseries", "table"].contains(&panel["type"].as_str().unwrap_or_default()), "{title}");
        assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{title} says nothing");
        let targets = panel["targets"].as_array().context("questions")?;
        let names: BTreeSet<&str> = targets.iter().filter_map(|target| target["refId"].as_str()).collect();
        assert!(!targets.is_empty() && names.len() == targets.len(), "{title}");
        for part in targets.iter().chain([panel]) {
            assert_eq!(part["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
    for question in questions()? {
        assert!(!question.expression.contains('$'), "{}: {}", question.title, question.expression);
    }
    Ok(())
}
