//! tokio-tungstenite behind a `recv` as KumoMTA has it. Takes the sender's
//! address, a number of messages and their size; prints the rate.

use futures_util::{SinkExt, StreamExt};
use std::time::Instant;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{protocol::WebSocketConfig, Error, Message};
use tokio_tungstenite::{connect_async_with_config, MaybeTlsStream, WebSocketStream};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The next message as a string, `None` after a close frame.
async fn recv(socket: &mut Socket) -> Result<Option<String>, Error> {
    loop {
        return match socket.next().await {
            None | Some(Ok(Message::Close(_))) => Ok(None),
            Some(Ok(Message::Text(text))) => Ok(Some(text.as_str().to_owned())),
            Some(Ok(Message::Binary(bytes))) => {
                Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
            }
            Some(Ok(_)) => continue,
            Some(Err(error)) => Err(error),
        };
    }
}

async fn run(socket: &mut Socket, count: u64, size: u64) -> Result<usize, Error> {
    let order = format!(r#"{{"count":{count},"size":{size}}}"#);
    socket.send(Message::text(order)).await?;
    let mut length = 0;
    for _ in 0..count {
        length += recv(socket).await?.map_or(0, |text| text.len());
    }
    Ok(length)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let (count, size): (u64, u64) = (args[2].parse()?, args[3].parse()?);
    let config = WebSocketConfig::default()
        .max_message_size(None)
        .max_frame_size(None);
    let (mut socket, _) = connect_async_with_config(&args[1], Some(config), true).await?;
    run(&mut socket, count.div_ceil(5), size).await?; // to warm up
    let start = Instant::now();
    let length = run(&mut socket, count, size).await?;
    assert_eq!(length as u64, count * size);
    println!("[{}]", count as f64 / start.elapsed().as_secs_f64());
    Ok(())
}
