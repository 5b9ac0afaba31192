//! What is sent, beside what the description of the API says of it.

use std::collections::BTreeSet;

use haul_tests::schema::faults;

use super::*;

/// The names of an object's fields.
fn names(object: &Value) -> Result<BTreeSet<&String>> {
    Ok(object.as_object().context("an object")?.keys().collect())
}

#[tokio::test]
async fn what_a_worker_sends_is_what_the_description_says_of_each_event() -> Result<()> {
    let (house, receiver) = (house().await?, Receiver::start().await?);
    let [there, nowhere, unwanted] = ["/progressive.mp4", "/nothing-here.mp4", "/portrait.mp4"];
    for path in [there, nowhere, unwanted] {
        let job = house.order(&told_to(&receiver, &house.origin.url(path))).await?;
        if path == unwanted {
            assert_eq!(house.ask(Method::DELETE, &job, &Value::Null).await?.status, 202);
        }
    }
    let _worker = house.worker(&[]).await?;
    let document = house.get("/openapi.json").await?.json();
    let events = names(&document["webhooks"])?;
    let is_told = |name: &String| receiver.received().iter().any(|message| message.json()["type"] == *name);
    until("each event is told", async || events.iter().all(|name| is_told(name))).await?;
    assert_eq!(events.len(), 3);

    let schemas = &document["components"]["schemas"];
    for message in receiver.received() {
        let event = message.json();
        for name in &events {
            let post = &document["webhooks"][*name]["post"];
            assert_eq!(post["security"], json!([]), "it has no key");
            let body = &post["requestBody"]["content"][message.header("content-type")]["schema"];
            let wrong = faults(&document, body, &event)?;
            assert_eq!(wrong.is_empty(), event["type"] == **name, "{name}: {wrong:?}");
        }
        assert_eq!(names(&event)?, names(&schemas["EventView"]["properties"])?);
        assert_eq!(names(&event["data"])?, names(&schemas["JobView"]["properties"])?);

        let post = &document["webhooks"][event["type"].as_str().context("a name")?]["post"];
        let headers = post["parameters"].as_array().context("headers")?;
        let mut named = Vec::new();
        for header in headers {
            let name = header["name"].as_str().context("a name")?;
            let text = message.header(name);
            let value = if header["schema"]["type"] == "integer" { serde_json::from_str(text)? } else { json!(text) };
            assert_eq!((&header["in"], &header["required"], text.is_empty()), (&json!("header"), &json!(true), false));
            assert_eq!(faults(&document, &header["schema"], &value)?, [""; 0], "{name}");
            named.push(name);
        }
        assert_eq!(named, ["webhook-id", "webhook-timestamp", "webhook-signature"]);
    }
    // the validator is one
    let mut incomplete = receiver.received()[0].json();
    incomplete["data"]["attempt"] = json!("one");
    incomplete["data"].as_object_mut().context("a job")?.remove("links");
    let wrong = faults(&document, &schemas["EventView"], &incomplete)?;
    assert!(wrong.len() == 2 && wrong.iter().all(|fault| fault.starts_with("$.data")), "{wrong:?}");
    Ok(())
}
