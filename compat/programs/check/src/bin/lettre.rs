//! Sends a message.

use lettre::message::Mailbox;
use lettre::transport::smtp;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

pub async fn send(to: Mailbox) -> Result<smtp::response::Response, smtp::Error> {
    let builder = Message::builder()
        .from(to.clone())
        .to(to)
        .subject("subject");
    let message = builder.body("body".to_owned()).expect("it has a sender");
    let transport = AsyncSmtpTransport::<Tokio1Executor>::relay("localhost")?;
    transport.build().send(message).await
}

fn main() {}
