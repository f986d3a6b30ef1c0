//! Scenarios 4 and 12: sizes.

use reqwest::header::HeaderMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::backend::Backend;
use crate::proxy::{Proxy, SECRET, signed};

#[tokio::test]
async fn the_largest_body_is_taken_and_one_byte_more_is_not() {
    let backend = Backend::start().await;
    let proxy = Proxy::start(&[&backend.url()], &["--max-request-size=1000"]).await;
    assert_eq!(proxy.deliver("/", vec![b' '; 1000], "fits").await.0, 200);
    let refused = proxy.deliver("/", vec![b' '; 1001], "too large").await;
    assert_eq!(refused, (413, "request body too large".to_owned()));
    let seen = backend.wait(1).await;
    assert_eq!((seen.len(), seen[0].body.len()), (1, 1000));
}

#[tokio::test]
async fn the_limit_holds_without_a_length_too() {
    let backend = Backend::start().await;
    let proxy = Proxy::start(&[&backend.url()], &["--max-request-size=1000"]).await;
    for (size, expected) in [(1000, 200), (1001, 413)] {
        let body = vec![b' '; size];
        let headers = signed(SECRET, &body, "d");
        assert_eq!(in_pieces(&proxy, &headers, &body).await, expected, "{size} bytes");
    }
    assert_eq!(backend.wait(1).await.len(), 1);
}

/// Sends a body without saying how long it is, and returns the status.
async fn in_pieces(proxy: &Proxy, headers: &HeaderMap, body: &[u8]) -> u16 {
    let mut request = b"POST / HTTP/1.1\r\nhost: proxy\r\ntransfer-encoding: chunked\r\n".to_vec();
    for (name, value) in headers {
        request.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    request.extend(b"\r\n");
    for piece in body.chunks(100) {
        request.extend([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
    }
    request.extend(b"0\r\n\r\n");
    let mut stream = TcpStream::connect(proxy.url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(&request).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    std::str::from_utf8(&answer).unwrap().strip_prefix("HTTP/1.1 ").unwrap().parse().unwrap()
}
