//! Each end of a download, however it came, is told once to each who asked to be told.

use haul_tests::redis::Redis;

use super::*;

#[tokio::test]
async fn a_completed_download_is_told_as_it_is_shown_and_both_verifiers_take_the_message() -> Result<()> {
    let house = house().await?;
    let (_worker, receiver) = (house.worker(&[]).await?, Receiver::start().await?);
    let order = told_to(&receiver, &house.origin.url("/progressive.mp4"));
    let job = house.order(&order).await?;
    let message = receiver.has(1).await?.remove(0);
    let payload = said(&message)?;
    assert_eq!(told(&payload)?, ("download.completed completed".to_owned(), job.clone()));
    let data = &payload["data"];
    assert_eq!(payload["timestamp"], data["finished_at"]);
    assert_eq!(data["request"]["webhook"], order["webhook"]);
    let link = data["links"]["self"].as_str().context("a link")?;
    assert_eq!(link, format!("http://{}{job}", house.api.address()), "links lead to the API that took the order");

    // but for its thumbnail, which may come later
    let mut shown = house.get(&job).await?.json();
    shown["links"]["thumbnail"] = data["links"]["thumbnail"].clone();
    assert_eq!(*data, shown);
    let delivery = delivery(&house, &job, "delivered").await?;
    assert_eq!((&delivery["event"], &delivery["next_attempt_at"]), (&json!("download.completed"), &Value::Null));
    assert_eq!(delivery["webhook_id"], message.header("webhook-id"));
    assert_eq!((errors(&delivery), &delivery["attempts"][0]["status"]), (vec!["-"], &json!(204)));
    stays_at(&receiver, 1).await
}

#[tokio::test]
async fn a_download_that_fails_and_one_that_is_cancelled_while_it_runs_are_told() -> Result<()> {
    let house = house().await?;
    let (_worker, receiver) = (house.worker(&[]).await?, Receiver::start().await?);
    let hopeless = house.order(&told_to(&receiver, &house.origin.url("/nothing-here.mp4"))).await?;
    let payload = said(&receiver.has(1).await?[0])?;
    assert_eq!(told(&payload)?, ("download.failed failed".to_owned(), hopeless));
    assert_eq!(payload["data"]["error"]["code"], "unavailable");
    assert_eq!(payload["data"]["error"].get("detail"), None, "what programs say is for admins");

    let slow = house.order(&told_to(&receiver, &house.origin.spoilt(SLOW, "/progressive.mp4"))).await?;
    house.is_fetching(&slow).await?;
    assert_eq!(house.get(&format!("{slow}/webhook")).await?.json()["state"], "waiting");
    assert_eq!(redeliver(&house, &slow).await?.told(), "409 not_ready");
    assert_eq!(house.ask(Method::DELETE, &slow, &Value::Null).await?.status, 202);
    let payload = said(&receiver.has(2).await?[1])?;
    assert_eq!(told(&payload)?, ("download.cancelled cancelled".to_owned(), slow));
    stays_at(&receiver, 2).await
}

/// No worker serves their region: that these jobs have ended is known to the API alone.
#[tokio::test]
async fn an_end_that_no_worker_made_is_told_by_one_that_has_nothing_to_do() -> Result<()> {
    let variables = [
        ("HAUL_WEBHOOK_SECRETS", SECRET),
        ("HAUL_REGIONS", "default,moon"),
        ("HAUL_JOB_TTL", "10s"),
        ("HAUL_RESULT_TTL", "10s"),
    ];
    let house = House::open(Store::Disk, &variables).await?;
    let (_worker, receiver) = (house.worker(&[("HAUL_REGION", "default")]).await?, Receiver::start().await?);
    let nowhere = |path: &str| {
        let mut order = told_to(&receiver, &house.origin.url(path));
        order["region"] = json!("moon");
        order
    };
    let queued = house.order(&nowhere("/portrait.mp4")).await?;
    assert_eq!(house.ask(Method::DELETE, &queued, &Value::Null).await?.json()["status"], "cancelled");
    let payload = said(&receiver.has(1).await?[0])?;
    assert_eq!(told(&payload)?, ("download.cancelled cancelled".to_owned(), queued));

    let forgotten = house.order(&nowhere("/progressive.mp4")).await?;
    let payload = said(&receiver.has(2).await?[1])?;
    assert_eq!(told(&payload)?, ("download.failed expired".to_owned(), forgotten));
    Ok(())
}

#[tokio::test]
async fn each_who_shares_a_run_is_told_of_their_own_and_who_gets_its_result_later_is_too() -> Result<()> {
    let house = house().await?;
    let (first, second, third) = (Receiver::start().await?, Receiver::start().await?, Receiver::start().await?);
    let url = house.origin.url("/progressive.mp4");
    let (a, b) = (house.order(&told_to(&first, &url)).await?, house.order(&told_to(&second, &url)).await?);
    let c = house.order(&told_to(&third, &url)).await?;
    // who leaves is told at once, and of nothing else
    assert_eq!(house.ask(Method::DELETE, &c, &Value::Null).await?.json()["status"], "cancelled");
    let _worker = house.worker(&[]).await?;
    for (receiver, event, job) in [
        (&first, "download.completed completed", &a),
        (&second, "download.completed completed", &b),
        (&third, "download.cancelled cancelled", &c),
    ] {
        let message = receiver.has(1).await?.remove(0);
        assert_eq!(told(&said(&message)?)?, (event.to_owned(), job.clone()));
    }
    let ids = [&first, &second].map(|receiver| receiver.received()[0].header("webhook-id").to_owned());
    assert_ne!(ids[0], ids[1]);

    let reused = house.ask(Method::POST, DOWNLOADS, &told_to(&third, &url)).await?;
    assert_eq!(reused.status, 200);
    let payload = said(&third.has(2).await?[1])?;
    assert_eq!(payload["data"]["id"], reused.json()["id"]);
    assert_eq!(payload["type"], "download.completed");
    for (receiver, count) in [(&first, 1), (&second, 1), (&third, 2)] {
        stays_at(receiver, count).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_failed_download_that_is_tried_again_has_another_end_in_another_message() -> Result<()> {
    let house = house().await?;
    let (_worker, receiver) = (house.worker(&[]).await?, Receiver::start().await?);
    let job = house.order(&told_to(&receiver, &house.origin.url("/later.mp4"))).await?;
    receiver.has(1).await?;
    delivery(&house, &job, "delivered").await?;

    house.origin.put("/later.mp4", std::fs::read(haul_tests::media::file("progressive.mp4"))?);
    let again = house.ask(Method::POST, &format!("{job}/retry"), &Value::Null).await?;
    assert_eq!(again.status, 202, "{}", again.told());
    let messages = receiver.has(2).await?;
    assert_eq!(told(&said(&messages[0])?)?, ("download.failed failed".to_owned(), job.clone()));
    assert_eq!(told(&said(&messages[1])?)?, ("download.completed completed".to_owned(), job.clone()));
    assert_ne!(messages[0].header("webhook-id"), messages[1].header("webhook-id"));
    let delivery = delivery(&house, &job, "delivered").await?;
    assert_eq!((delivery["webhook_id"].as_str(), errors(&delivery).len()), (Some(messages[1].header("webhook-id")), 1));
    Ok(())
}

#[tokio::test]
async fn what_nobody_asked_to_be_told_has_no_webhook_and_others_are_not_shown_theirs() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let keys = folder.path().join("keys.toml");
    std::fs::write(&keys, secrets::keys(&[("a", &[SECRET]), ("b", &[])]))?;
    let redis = Redis::start().await?;
    let origin = haul_tests::origin::Origin::start().await;
    let variables = [("HAUL_API_KEYS_FILE", keys.to_str().context("a path")?)];
    let house = House::over(redis, origin, Store::Disk, &variables).await?;
    let receiver = Receiver::start().await?;
    let order = told_to(&receiver, &house.origin.url("/progressive.mp4"));

    // b has no secret, and neither has the service
    let refused = secrets::ask(&house, "b", Method::POST, DOWNLOADS, &order).await?;
    assert_eq!(refused.told(), "422 invalid_request");
    assert_eq!(refused.json()["errors"][0]["pointer"], "/webhook");
    let plain = request(&house.origin.url("/progressive.mp4"), json!({}));
    let path = |answer: &Answer| format!("{DOWNLOADS}/{}", answer.json()["id"].as_str().unwrap_or_default());
    let of_a = path(&secrets::ask(&house, "a", Method::POST, DOWNLOADS, &order).await?);
    let of_b = path(&secrets::ask(&house, "b", Method::POST, DOWNLOADS, &plain).await?);
    let hook =
        |job: &str| [(Method::GET, format!("{job}/webhook")), (Method::POST, format!("{job}/webhook/redeliver"))];
    for (who, job) in [("b", &of_b), ("b", &of_a)] {
        for (method, path) in hook(job) {
            let answer = secrets::ask(&house, who, method, &path, &Value::Null).await?;
            assert_eq!(answer.told(), "404 not_found", "{path}");
        }
    }
    let waiting = secrets::ask(&house, "a", Method::GET, &format!("{of_a}/webhook"), &Value::Null).await?.json();
    assert_eq!((&waiting["state"], &waiting["event"], errors(&waiting).len()), (&json!("waiting"), &Value::Null, 0));
    Ok(())
}
