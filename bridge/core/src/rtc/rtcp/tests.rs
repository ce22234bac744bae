use super::*;
use proptest::prelude::*;

#[test]
fn what_is_written_is_read() {
    let mut compound = Vec::new();
    write_receiver_report(
        &mut compound,
        1,
        &[ReportBlock {
            ssrc: 9,
            cumulative_lost: -3,
            ..Default::default()
        }],
    );
    write_sender_report(&mut compound, 2, 0x0102_0304_0506_0708, 77, 5, 6);
    write_pli(&mut compound, 1, 42);
    write_nack(&mut compound, 1, 43, &[65_530, 65_535, 3, 10, 200]);
    let items = parse(&compound, 100).unwrap();
    assert_eq!(
        items,
        vec![
            Item::Received {
                blocks: vec![ReportBlock {
                    ssrc: 9,
                    cumulative_lost: -3,
                    ..Default::default()
                }]
            },
            Item::SenderReport {
                ssrc: 2,
                ntp: 0x0102_0304_0506_0708,
                rtp_time: 77
            },
            Item::PictureWanted { ssrc: 42 },
            Item::Missing {
                ssrc: 43,
                seqs: vec![65_530, 65_535, 3, 10, 200]
            },
        ]
    );
    assert_eq!(parse(&compound[60..], 2).unwrap().len(), 2);
}

#[test]
fn full_intra_requests_count_as_picture_requests() {
    let fir = [0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 42, 7, 0, 0, 0];
    assert_eq!(parse(&fir, 10), Some(vec![Item::PictureWanted { ssrc: 42 }]));
}

#[test]
fn a_nack_is_bounded_and_truncated_packets_end_the_reading() {
    let mut nack = Vec::new();
    write_nack(&mut nack, 1, 2, &(0..1000).collect::<Vec<_>>());
    let Item::Missing { seqs, .. } = &parse(&nack, 50).unwrap()[0] else {
        panic!()
    };
    assert_eq!(seqs.len(), 50);
    for len in 0..nack.len() {
        assert_eq!(parse(&nack[..len], 50), None);
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes, 20);
        let mut framed = vec![0x81, 205, 0, 10];
        framed.extend_from_slice(&bytes);
        let _ = parse(&framed, 20);
    }

    #[test]
    fn nacks_survive_the_wire(mut seqs in proptest::collection::btree_set(0_u16..60_000, 1..60)) {
        let expected: Vec<u16> = std::mem::take(&mut seqs).into_iter().collect();
        let mut packet = Vec::new();
        write_nack(&mut packet, 1, 2, &expected);
        prop_assert_eq!(parse(&packet, 100).unwrap(), vec![Item::Missing { ssrc: 2, seqs: expected }]);
    }
}

/// A sender report carries blocks too; a count that is a lie finds no more than there is.
#[test]
fn blocks_of_both_kinds_of_report_are_read() {
    let block = ReportBlock {
        ssrc: 9,
        fraction_lost: 12,
        cumulative_lost: 70_000,
        highest_seq: 0x0001_0203,
        jitter: 4,
        last_sender_report: 5,
        delay_since: 6,
    };
    let mut report = Vec::new();
    write_receiver_report(&mut report, 1, &[block, ReportBlock::default()]);
    let blocks = report[8..].to_vec();
    let mut sender = Vec::new();
    write_sender_report(&mut sender, 2, 3, 4, 5, 6);
    sender.extend_from_slice(&blocks);
    sender[0] = 0x80 | 31;
    sender[3] = (sender.len() / 4 - 1) as u8;
    for compound in [&report, &sender] {
        let items = parse(compound, 10).unwrap();
        let read = items.iter().find_map(|item| match item {
            Item::Received { blocks } => Some(blocks),
            _ => None,
        });
        assert_eq!(read, Some(&vec![block, ReportBlock::default()]));
    }
}
