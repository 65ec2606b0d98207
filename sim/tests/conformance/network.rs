//! What every network does, real or simulated.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::join;
use host::{Connection, Elapsed, Host, Listener, Reader, Writer, timeout};
use model::Endpoint;

type ReaderOf<H> = <<H as Host>::Connection as Connection>::Reader;
type WriterOf<H> = <<H as Host>::Connection as Connection>::Writer;
type Halves<H> = (ReaderOf<H>, WriterOf<H>);

/// Longer than anything takes on a loopback.
const A_WHILE: Duration = Duration::from_secs(10);

/// Long enough to see that nothing happens.
const A_MOMENT: Duration = Duration::from_millis(200);

fn free_endpoint() -> Endpoint {
    Endpoint::new("127.0.0.1", 0)
}

/// Two ends of one connection: who asked, and who was asked.
async fn pair<H: Host>(host: &H) -> (Halves<H>, Halves<H>) {
    let listener = host.listen(&free_endpoint()).await.unwrap();
    let endpoint = listener.endpoint();
    let (asking, asked) = join(host.connect(&endpoint), listener.accept()).await;
    (asking.unwrap().split(), asked.unwrap().split())
}

async fn read_to_end(reader: &mut impl Reader) -> BytesMut {
    let mut buffer = BytesMut::new();
    while reader.read(&mut buffer).await.unwrap() > 0 {}
    buffer
}

pub(crate) async fn what_is_written_is_read_in_order<H: Host>(host: H) {
    let ((mut reader, mut writer), (mut peer_reader, mut peer_writer)) = pair(&host).await;
    for round in 0..100u32 {
        let message = Bytes::from(round.to_be_bytes().repeat(50));
        writer.write(std::slice::from_ref(&message)).await.unwrap();
        let mut buffer = BytesMut::new();
        while buffer.len() < message.len() {
            assert!(peer_reader.read(&mut buffer).await.unwrap() > 0);
        }
        assert_eq!(buffer, message);
        peer_writer.write(&[buffer.freeze()]).await.unwrap();
        let mut answer = BytesMut::new();
        while answer.len() < message.len() {
            assert!(reader.read(&mut answer).await.unwrap() > 0);
        }
        assert_eq!(answer, message);
    }
}

pub(crate) async fn a_free_port_is_found_and_named<H: Host>(host: H) {
    let one = host.listen(&free_endpoint()).await.unwrap();
    let other = host.listen(&free_endpoint()).await.unwrap();
    assert_eq!(one.endpoint().host, "127.0.0.1");
    assert_ne!(one.endpoint().port, 0);
    assert_ne!(one.endpoint().port, other.endpoint().port);
}

pub(crate) async fn a_port_in_use_is_refused<H: Host>(host: H) {
    let one = host.listen(&free_endpoint()).await.unwrap();
    let error = host.listen(&one.endpoint()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

pub(crate) async fn a_dropped_listener_frees_its_port<H: Host>(host: H) {
    let endpoint = host.listen(&free_endpoint()).await.unwrap().endpoint();
    assert_eq!(host.connect(&endpoint).await.err().unwrap().kind(), ErrorKind::ConnectionRefused);
    host.listen(&endpoint).await.unwrap();
}

pub(crate) async fn another_machines_address_cannot_be_bound<H: Host>(host: H) {
    // A documentation address (RFC 5737): no machine has it.
    let error = host.listen(&Endpoint::new("192.0.2.1", 0)).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
}

pub(crate) async fn nobody_listening_is_a_refusal<H: Host>(host: H) {
    let endpoint = host.listen(&free_endpoint()).await.unwrap().endpoint();
    let error = timeout(&host, A_WHILE, host.connect(&endpoint)).await.unwrap().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

pub(crate) async fn an_unknown_name_is_not_found<H: Host>(host: H) {
    let error = host.connect(&Endpoint::new("nobody.invalid", 9092)).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

pub(crate) async fn dropping_both_halves_ends_the_peers_stream<H: Host>(host: H) {
    let ((reader, mut writer), (mut peer_reader, _peer_writer)) = pair(&host).await;
    writer.write(&[Bytes::from_static(b"last words")]).await.unwrap();
    drop((reader, writer));
    assert_eq!(&read_to_end(&mut peer_reader).await[..], b"last words");
    assert_eq!(peer_reader.read(&mut BytesMut::new()).await.unwrap(), 0, "the end stays the end");
}

pub(crate) async fn shutdown_ends_one_direction_alone<H: Host>(host: H) {
    let ((mut reader, mut writer), (mut peer_reader, mut peer_writer)) = pair(&host).await;
    writer.write(&[Bytes::from_static(b"question")]).await.unwrap();
    writer.shutdown().await.unwrap();
    assert_eq!(&read_to_end(&mut peer_reader).await[..], b"question");
    peer_writer.write(&[Bytes::from_static(b"answer")]).await.unwrap();
    peer_writer.shutdown().await.unwrap();
    assert_eq!(&read_to_end(&mut reader).await[..], b"answer");
    let error = writer.write(&[Bytes::from_static(b"more")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

pub(crate) async fn a_dropped_writer_ends_its_direction<H: Host>(host: H) {
    let ((mut reader, writer), (mut peer_reader, mut peer_writer)) = pair(&host).await;
    drop(writer);
    assert_eq!(read_to_end(&mut peer_reader).await.len(), 0);
    peer_writer.write(&[Bytes::from_static(b"still heard")]).await.unwrap();
    drop((peer_reader, peer_writer));
    assert_eq!(&read_to_end(&mut reader).await[..], b"still heard");
}

pub(crate) async fn closing_with_unread_bytes_breaks_the_peers_writer<H: Host>(host: H) {
    let ((mut reader, mut writer), (peer_reader, peer_writer)) = pair(&host).await;
    writer.write(&[Bytes::from_static(b"never read")]).await.unwrap();
    host.sleep(A_MOMENT).await;
    drop((peer_reader, peer_writer));
    // The end of the stream comes first, and the reset for what was not read behind it.
    assert_eq!(timeout(&host, A_WHILE, reader.read(&mut BytesMut::new())).await.unwrap().unwrap(), 0);
    host.sleep(A_MOMENT).await;
    let error = writer.write(&[Bytes::from_static(b"x")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

pub(crate) async fn writing_to_a_closed_peer_fails_in_the_end<H: Host>(host: H) {
    let ((_reader, mut writer), peer) = pair(&host).await;
    drop(peer);
    let writing = async {
        loop {
            if let Err(error) = writer.write(&[Bytes::from_static(b"anybody there?")]).await {
                return error;
            }
            host.sleep(Duration::from_millis(10)).await;
        }
    };
    let error = timeout(&host, A_WHILE, writing).await.unwrap();
    assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
}

pub(crate) async fn a_peer_that_never_reads_stops_its_writer<H: Host>(host: H) {
    let ((_reader, mut writer), _peer) = pair(&host).await;
    let parts = vec![Bytes::from(vec![7; 1 << 20]); 64];
    let result = timeout(&host, Duration::from_secs(1), writer.write(&parts)).await;
    assert!(matches!(result, Err(Elapsed)));
}

pub(crate) async fn a_writer_goes_on_when_its_peer_reads_again<H: Host>(host: H) {
    let ((_reader, mut writer), (mut peer_reader, _peer_writer)) = pair(&host).await;
    let parts: Vec<Bytes> = (0..64u8).map(|part| Bytes::from(vec![part; 1 << 20])).collect();
    let writing = async {
        writer.write(&parts).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let reading = async {
        host.sleep(A_MOMENT).await;
        read_to_end(&mut peer_reader).await
    };
    let ((), received) = join(writing, reading).await;
    assert!(received == parts.concat(), "{} bytes arrived", received.len());
}

pub(crate) async fn a_silent_peer_keeps_a_reader_waiting<H: Host>(host: H) {
    let ((mut reader, _writer), _peer) = pair(&host).await;
    assert!(matches!(timeout(&host, A_MOMENT, reader.read(&mut BytesMut::new())).await, Err(Elapsed)));
}

pub(crate) async fn a_cancelled_read_loses_nothing<H: Host>(host: H) {
    let ((mut reader, _writer), (_peer_reader, mut peer_writer)) = pair(&host).await;
    let mut buffer = BytesMut::new();
    let reading = async {
        while buffer.len() < 1000 {
            let _again = timeout(&host, Duration::from_millis(1), reader.read(&mut buffer)).await;
        }
    };
    let writing = async {
        for number in 0..100u8 {
            peer_writer.write(&[Bytes::from(vec![number; 10])]).await.unwrap();
            host.sleep(Duration::from_micros(700)).await;
        }
    };
    join(reading, writing).await;
    let expected: Vec<u8> = (0..100).flat_map(|number| [number; 10]).collect();
    assert_eq!(buffer, expected);
}

pub(crate) async fn connections_wait_to_be_accepted<H: Host>(host: H) {
    let listener = host.listen(&free_endpoint()).await.unwrap();
    let endpoint = listener.endpoint();
    let mut askers = Vec::new();
    for number in 0..10u8 {
        let (reader, mut writer) = host.connect(&endpoint).await.unwrap().split();
        writer.write(&[Bytes::from(vec![number])]).await.unwrap();
        askers.push((reader, writer));
    }
    for number in 0..10u8 {
        let (mut reader, _writer) = listener.accept().await.unwrap().split();
        let mut buffer = BytesMut::new();
        reader.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..], [number]);
    }
}

pub(crate) async fn many_parts_are_one_stream<H: Host>(host: H) {
    let ((_reader, mut writer), (mut peer_reader, _peer_writer)) = pair(&host).await;
    let parts: Vec<Bytes> = (0..3000u32).map(|part| Bytes::from(vec![part as u8; (part % 7) as usize])).collect();
    let writing = async {
        writer.write(&[]).await.unwrap();
        writer.write(&parts).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let ((), received) = join(writing, read_to_end(&mut peer_reader)).await;
    assert_eq!(received, parts.concat());
}
