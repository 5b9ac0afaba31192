//! Receivers that fail, in each of the ways there are: they are asked again, later each time, and nobody else waits for them.

use jiff::Timestamp;

use super::*;

#[tokio::test]
async fn a_receiver_that_fails_in_five_ways_gets_the_same_message_in_the_sixth_attempt() -> Result<()> {
    let house = house().await?;
    let (worker, receiver) = (house.worker(&[]).await?, Receiver::start().await?);
    receiver.will([
        Reply::Status(500),
        Reply::With(302, format!("location: {}", receiver.url("/elsewhere"))),
        Reply::Garbage,
        Reply::Close,
        Reply::Silence,
    ]);
    let job = house.order(&told_to(&receiver, &house.origin.url("/progressive.mp4"))).await?;
    let messages = receiver.has(6).await?;
    for message in &messages {
        let payload = said(message)?;
        assert_eq!(told(&payload)?, ("download.completed completed".to_owned(), job.clone()));
        assert_eq!(message.header("webhook-id"), messages[0].header("webhook-id"));
    }
    let time = |at: usize| messages[at].header("webhook-timestamp").parse::<i64>();
    assert!(time(5)? > time(2)? && time(2)? > time(0)?, "each attempt is signed when it is made");

    let delivery = delivery(&house, &job, "delivered").await?;
    assert_eq!(errors(&delivery), ["status", "redirect", "broken", "broken", "timeout", "-"]);
    let statuses: Vec<&Value> = (0..6).map(|at| &delivery["attempts"][at]["status"]).collect();
    assert_eq!(statuses, [&json!(500), &json!(302), &Value::Null, &Value::Null, &Value::Null, &json!(204)]);
    let answer = haul_tests::site::send(house.request(&worker, Method::GET, "/metrics")).await?;
    let metrics = String::from_utf8(answer.body)?;
    for series in ["{result=\"failed\"} 5", "{result=\"delivered\"} 1", "{result=\"given_up\"} 0"] {
        assert!(metrics.contains(&format!("haul_webhooks_total{series}")), "{series}");
    }
    stays_at(&receiver, 6).await
}

#[tokio::test]
async fn a_receiver_that_is_not_there_yet_is_told_when_it_is() -> Result<()> {
    let house = house().await?;
    let _worker = house.worker(&[]).await?;
    let address = Receiver::start().await?.address();
    let hook = json!({ "webhook": { "url": format!("http://{address}/hook?of=mine") } });
    let job = house.order(&request(&house.origin.url("/progressive.mp4"), hook)).await?;
    let tried = async || {
        let shown = house.get(&format!("{job}/webhook")).await.map(|answer| answer.json());
        shown.is_ok_and(|shown| errors(&shown).starts_with(&["unreachable"]))
    };
    until("it is tried", tried).await?;
    let receiver = Receiver::over(tokio::net::TcpListener::bind(address).await?)?;
    said(&receiver.has(1).await?[0])?;
    delivery(&house, &job, "delivered").await?;
    Ok(())
}

#[tokio::test]
async fn who_is_gone_is_told_no_more_and_who_asks_is_told_again_in_the_same_message() -> Result<()> {
    let house = house().await?;
    let (_worker, receiver) = (house.worker(&[]).await?, Receiver::start().await?);
    receiver.will([Reply::Status(410)]);
    let job = house.order(&told_to(&receiver, &house.origin.url("/progressive.mp4"))).await?;
    assert_eq!(errors(&delivery(&house, &job, "given_up").await?), ["status"]);
    stays_at(&receiver, 1).await?;

    let again = redeliver(&house, &job).await?;
    assert_eq!((again.status.as_u16(), &again.json()["event"]), (202, &json!("download.completed")));
    let messages = receiver.has(2).await?;
    assert_eq!(messages[0].header("webhook-id"), messages[1].header("webhook-id"));
    assert_eq!(errors(&delivery(&house, &job, "delivered").await?), ["status", "-"]);

    // and what was taken once, too
    assert_eq!(redeliver(&house, &job).await?.status, 202);
    said(&receiver.has(3).await?[2])?;
    assert_eq!(house.ask(Method::DELETE, &job, &Value::Null).await?.status, 204);
    assert_eq!(redeliver(&house, &job).await?.told(), "404 not_found");
    Ok(())
}

#[tokio::test]
async fn a_receiver_that_says_when_to_come_back_is_left_alone_until_then() -> Result<()> {
    let house = house().await?;
    let (_worker, receiver) = (house.worker(&[]).await?, Receiver::start().await?);
    receiver.will([Reply::With(429, "retry-after: 600".to_owned())]);
    let job = house.order(&told_to(&receiver, &house.origin.url("/progressive.mp4"))).await?;
    receiver.has(1).await?;
    let noted = async || {
        let shown = house.get(&format!("{job}/webhook")).await.map(|answer| answer.json());
        shown.is_ok_and(|shown| errors(&shown) == ["status"])
    };
    until("the answer is noted", noted).await?;
    let shown = house.get(&format!("{job}/webhook")).await?.json();
    let time = |value: &Value| value.as_str().context("a time").and_then(|text| Ok(text.parse::<Timestamp>()?));
    let wait = time(&shown["next_attempt_at"])?.duration_since(time(&shown["attempts"][0]["at"])?);
    assert!((600..700).contains(&wait.as_secs()), "{wait:?}");
    assert_eq!(shown["state"], "pending");
    Ok(())
}

#[tokio::test]
async fn an_answer_counts_by_its_head_however_long_its_body_is() -> Result<()> {
    let house = house().await?;
    let (_worker, receiver) = (house.worker(&[]).await?, Receiver::start().await?);
    // Fault: without TLS, what broke off at once was unreachable, and what announced more than a download may have was refused.
    for reply in [Reply::Endless, Reply::Cut(5), Reply::Cut(1 << 50)] {
        receiver.will([reply]);
        let job = house.order(&told_to(&receiver, &house.origin.url("/progressive.mp4"))).await?;
        assert_eq!(errors(&delivery(&house, &job, "delivered").await?), ["-"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_receiver_that_never_answers_holds_up_no_other() -> Result<()> {
    let house = house().await?;
    let (slow, quick) = (Receiver::start_at("127.0.0.2").await?, Receiver::start_at("127.0.0.3").await?);
    slow.will(std::iter::repeat_n(Reply::Silence, 10_000));
    let url = house.origin.url("/progressive.mp4");
    let crowd = told_to(&slow, &url);
    futures::future::try_join_all((0..100).map(|_| house.order(&crowd))).await?;
    let job = house.order(&told_to(&quick, &url)).await?;
    let _worker = house.worker(&[]).await?;
    said(&quick.has(1).await?[0])?;
    delivery(&house, &job, "delivered").await?;
    slow.has(8).await?;
    assert_eq!(slow.most_at_once(), 8);
    Ok(())
}
