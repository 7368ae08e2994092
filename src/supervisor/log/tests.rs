use super::*;
use proptest::prelude::*;

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes
        .split_inclusive(|&b| b == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the pieces, the lines that come out are the lines that went in, long ones cut.
    #[test]
    fn framing_depends_on_the_bytes_alone(
        text in prop::collection::vec(prop_oneof![5 => Just(b'x'), 1 => Just(b'\n'), 1 => any::<u8>()], 0..4000),
        cuts in prop::collection::vec(1_usize..700, 1..40),
    ) {
        let mut framer = Framer::default();
        let (mut got, mut rest, mut turn) = (Vec::new(), &text[..], 0);
        while !rest.is_empty() {
            let n = cuts[turn % cuts.len()].min(rest.len());
            framer.push(&rest[..n], |run| {
                assert_eq!(run.last(), Some(&b'\n'));
                got.extend_from_slice(run);
            });
            rest = &rest[n..];
            turn += 1;
        }
        framer.finish(|run| got.extend_from_slice(run));
        let mut want = text;
        if want.last().is_some_and(|&b| b != b'\n') {
            want.push(b'\n');
        }
        prop_assert_eq!(got, want);
    }

    /// The ring is the longest tail of whole lines that fits.
    #[test]
    fn the_ring_keeps_the_last_whole_lines(
        sizes in prop::collection::vec(prop_oneof![4 => 0_usize..300, 1 => 0_usize..=KEPT], 1..300),
        batch in 1_usize..9,
    ) {
        let mut ring = Ring::default();
        let mut all = Vec::new();
        for (n, chunk) in sizes.chunks(batch).enumerate() {
            let mut run = Vec::new();
            for &size in chunk {
                run.extend(std::iter::repeat_n(b'a' + (n % 26) as u8, size));
                run.push(b'\n');
            }
            ring.push(&run);
            all.extend(run);
        }
        let kept = ring.from(0);
        prop_assert!(all.ends_with(&kept));
        let kept_lines = lines(&kept);
        prop_assert!(kept.len() <= KEPT || kept_lines.len() == 1);
        let all_lines = lines(&all);
        prop_assert_eq!(ring.lines, kept_lines.len() as u64);
        prop_assert_eq!(ring.lines_before + ring.lines, all_lines.len() as u64);
        prop_assert_eq!(ring.bytes_before + kept.len() as u64, all.len() as u64);
        if kept_lines.len() < all_lines.len() {
            let next = &all_lines[all_lines.len() - kept_lines.len() - 1];
            prop_assert!(kept.len() + next.len() > KEPT, "one more line would have fitted");
        }
    }
}

#[test]
fn a_line_without_end_is_cut_into_pieces_of_64_kib() {
    let mut framer = Framer::default();
    let mut pieces = Vec::new();
    for chunk in vec![b'x'; 200_000].chunks(999) {
        framer.push(chunk, |run| pieces.push(run.to_vec()));
    }
    assert!(framer.partial.len() <= KEPT);
    framer.finish(|run| pieces.push(run.to_vec()));
    let sizes: Vec<usize> = pieces.iter().map(|p| p.len() - 1).collect();
    assert_eq!(sizes, [KEPT, KEPT, KEPT, 200_000 - 3 * KEPT]);
}

#[tokio::test]
async fn following_survives_a_full_ring() {
    let log = Arc::new(Log::default());
    log.push(b"before\n");
    let mut follow = log.clone().follow();
    assert_eq!(follow.next().await, Some(News::Lines(b"before\n".to_vec())));
    let line = [b'y'; 1000];
    let mut seen = 0;
    for n in 0..500 {
        let text = format!("{n} {}\n", String::from_utf8_lossy(&line));
        log.push(text.as_bytes());
        match follow.next().await {
            Some(News::Lines(got)) => {
                assert_eq!(got, text.as_bytes());
                seen += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, 500);
}

#[tokio::test]
async fn a_slow_follower_is_told_how_many_lines_it_missed() {
    let log = Arc::new(Log::default());
    let mut follow = log.clone().follow();
    for n in 0..20_000_u32 {
        log.push(format!("line {n}\n").as_bytes());
    }
    let Some(News::Missed(missed)) = follow.next().await else {
        panic!("nothing was said of the lines that went by")
    };
    let Some(News::Lines(rest)) = follow.next().await else {
        panic!("no lines")
    };
    assert_eq!(missed + lines(&rest).len() as u64, 20_000);
    assert!(rest.starts_with(format!("line {missed}\n").as_bytes()));
    log.set_idle(true);
    assert_eq!(follow.next().await, None);
}

#[tokio::test]
async fn following_ends_with_the_module_after_its_last_line() {
    let log = Arc::new(Log::default());
    let mut follow = log.clone().follow();
    let reader = tokio::spawn(async move {
        let mut all = Vec::new();
        while let Some(News::Lines(lines)) = follow.next().await {
            all.extend(lines);
        }
        all
    });
    tokio::task::yield_now().await;
    log.push(b"one\n");
    log.push(b"two\n");
    log.close();
    assert_eq!(reader.await.unwrap(), b"one\ntwo\n");
}
