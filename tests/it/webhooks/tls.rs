//! Receivers that speak TLS: told if the worker's machine trusts their certificate, and not otherwise.

use haul_tests::tls::Authority;

use super::*;

#[tokio::test]
async fn a_receiver_is_told_over_tls_if_its_certificate_is_trusted_and_not_otherwise() -> Result<()> {
    let (house, trusted, stranger) = (house().await?, Authority::generate(), Authority::generate());
    let folder = tempfile::tempdir()?;
    let authorities = folder.path().join("authorities.pem");
    std::fs::write(&authorities, trusted.pem())?;
    let _worker = house.worker(&[("SSL_CERT_FILE", authorities.to_str().context("a path")?)]).await?;
    let url = house.origin.url("/progressive.mp4");

    let receiver = Receiver::start_tls(trusted.certify("127.0.0.1")).await?;
    let job = house.order(&told_to(&receiver, &url)).await?;
    let payload = said(&receiver.has(1).await?[0])?;
    assert_eq!(told(&payload)?, ("download.completed completed".to_owned(), job.clone()));
    assert_eq!(errors(&delivery(&house, &job, "delivered").await?), ["-"]);

    for server in [stranger.certify("127.0.0.1"), trusted.certify("127.0.0.3"), trusted.certify_expired("127.0.0.1")] {
        let receiver = Receiver::start_tls(server).await?;
        let job = house.order(&told_to(&receiver, &url)).await?;
        let shown = async || anyhow::Ok(house.get(&format!("{job}/webhook")).await?.json());
        until("it is tried twice", async || shown().await.is_ok_and(|shown| errors(&shown).len() >= 2)).await?;
        let shown = shown().await?;
        assert!(errors(&shown).iter().all(|word| *word == "unreachable"), "{shown}");
        assert_eq!((&shown["state"], &shown["attempts"][0]["status"]), (&json!("pending"), &Value::Null));
        assert!(receiver.most_at_once() > 0 && receiver.received().is_empty(), "it was spoken to, and told nothing");
    }
    Ok(())
}
