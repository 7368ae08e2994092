use super::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// More than two kernels' buffers take.
const MUCH: usize = 32 * 1024 * 1024;
const BOUNDS: Bounds = Bounds {
    whole: Duration::from_millis(200),
    next: Duration::from_secs(60),
};

/// Both ends of a connection, the patient one first.
async fn pair(bounds: Bounds, follows: bool) -> (Patient, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap();
    let (client, server) = tokio::join!(TcpStream::connect(place), listener.accept());
    let following = Following::default();
    following.set(follows);
    (
        Patient::new(server.unwrap().0, bounds, following),
        client.unwrap(),
    )
}

/// Takes everything, a little at a time.
async fn sip(mut client: TcpStream) -> usize {
    let mut taken = 0;
    let mut some = vec![0; 512 * 1024];
    loop {
        match client.read(&mut some).await {
            Ok(n) if n > 0 => taken += n,
            _ => return taken,
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn pour(mut patient: Patient) -> io::Result<()> {
    patient.write_all(&vec![b'x'; MUCH]).await?;
    patient.flush().await
}

#[tokio::test]
async fn a_client_that_does_not_read_is_let_go_and_nothing_stays_queued() {
    let (patient, mut client) = pair(BOUNDS, false).await;
    let error = pour(patient).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    let mut all = Vec::new();
    let end = client.read_to_end(&mut all).await;
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn drops_of_reading_do_not_hold_a_whole_answer_for_ever() {
    let (patient, client) = pair(BOUNDS, false).await;
    let (poured, _) = tokio::join!(pour(patient), sip(client));
    assert_eq!(poured.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn who_follows_may_read_slowly_but_must_read() {
    let (patient, client) = pair(BOUNDS, true).await;
    let (poured, taken) = tokio::join!(pour(patient), sip(client));
    poured.unwrap();
    assert_eq!(taken, MUCH);
    let bounds = Bounds {
        next: BOUNDS.whole,
        ..BOUNDS
    };
    let (patient, _client) = pair(bounds, true).await;
    assert_eq!(
        pour(patient).await.unwrap_err().kind(),
        io::ErrorKind::TimedOut
    );
}

#[tokio::test]
async fn who_has_taken_all_owes_nothing() {
    let (mut patient, mut client) = pair(BOUNDS, false).await;
    for _ in 0..3 {
        patient.write_all(b"hello").await.unwrap();
        patient.flush().await.unwrap();
        client.read_exact(&mut [0; 5]).await.unwrap();
        tokio::time::sleep(BOUNDS.whole + Duration::from_millis(50)).await;
    }
}
