//! The rules: read by promtool, and tried by it on series that have been thought out.

use haul_tests::prometheus::{folder, promtool};

use super::*;

#[tokio::test]
async fn each_alert_fires_when_it_should_and_none_on_a_day_as_any_other() -> Result<()> {
    let cases =
        fs::read_dir(folder().join("tests"))?.map(|entry| Ok(format!("tests/{}", entry?.file_name().display())));
    let cases = cases.collect::<Result<Vec<String>>>()?;
    let try_cases: Vec<&str> = ["test", "rules"].into_iter().chain(cases.iter().map(String::as_str)).collect();
    for arguments in [&["check", "config", "prometheus.yml"][..], &try_cases] {
        let said = promtool(arguments, b"").await?;
        let told = [said.stdout, said.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(said.status.success(), "{arguments:?}: {told}");
    }

    let tried =
        cases.iter().map(|case| file(&format!("deploy/prometheus/{case}"))).collect::<Result<Vec<_>>>()?.concat();
    for alert in alerts()? {
        let fires = format!("        alertname: {alert}\n        exp_alerts:\n          - exp_labels: ");
        assert!(tried.contains(&fires), "no case in which {alert} fires");
        assert!(
            tried.contains(&format!("alertname: {alert}, exp_alerts: []")),
            "no case in which {alert} does not fire"
        );
    }
    Ok(())
}

#[test]
fn each_alert_says_how_bad_it_is_what_happens_and_where_to_read_on() -> Result<()> {
    let text = file("deploy/prometheus/rules/alerts.yml")?;
    let (_, rules) = text.split_once("- alert: ").context("an alert")?;
    for rule in rules.split("- alert: ") {
        let name = rule.lines().next().context("a name")?;
        let severity = named(rule, "labels: ").next().context(name.to_owned())?;
        assert!(["{severity: critical}", "{severity: warning}"].contains(&severity), "{name}: {severity}");
        for needed in ["summary: ", "description: "] {
            assert!(named(rule, needed).next().is_some_and(|text| text.len() > 10), "{name} has no {needed}");
        }
        let page = format!("docs/OPERATIONS.md#{}", name.to_lowercase());
        assert_eq!(named(rule, "runbook: ").next(), Some(page.as_str()), "{name}");
    }
    Ok(())
}

/// What each API reads from the store is the same on all of them: added up, a second API would double every queue.
#[test]
fn what_every_api_tells_alike_is_never_added_up() -> Result<()> {
    let of_the_store = [
        "haul_queue_depth",
        "haul_queue_oldest_seconds",
        "haul_region_workers",
        "haul_region_slots",
        "haul_region_running",
        "haul_jobs_total",
        "haul_jobs_deferred_total",
        "haul_leases_lost_total",
        "haul_queue_repairs_total",
        "haul_site_breakers_open",
        "haul_extractor_trials",
        "haul_storage_bytes",
        "haul_orphans_removed_total",
    ];
    let rules = file("deploy/prometheus/rules/recording.yml")? + &file("deploy/prometheus/rules/alerts.yml")?;
    let mut expressions: Vec<String> = questions()?.into_iter().map(|question| question.expression).collect();
    expressions.extend(rules.lines().map(str::to_owned));
    let mut seen = BTreeSet::new();
    for expression in &expressions {
        for metric in of_the_store {
            // within the name of a recorded series it is followed by how that was made
            for (at, _) in expression.match_indices(metric).filter(|(at, _)| !expression[..*at].ends_with(':')) {
                seen.insert(metric);
                assert!(is_taken_once(&expression[..at]), "{metric} in {expression}");
            }
        }
    }
    assert_eq!(seen.len(), of_the_store.len(), "only {seen:?} are looked at");
    Ok(())
}

/// Does what stands before a metric take one of its series, rather than all together?
fn is_taken_once(before: &str) -> bool {
    let functions = ["rate(", "increase(", "min_over_time("];
    let inner = functions.iter().find_map(|function| before.strip_suffix(function)).unwrap_or(before);
    let aggregation = inner.strip_suffix('(').unwrap_or_default();
    let operator = match aggregation.strip_suffix(") ") {
        Some(labels) => labels.rsplit_once(" by (").map_or("", |(operator, _)| operator),
        None => aggregation,
    };
    operator.ends_with("max")
}
