use proptest::prelude::*;

use super::compare::{CompareError, compare};
use super::data::*;
use super::*;

/// A run with everything in it.
fn sample(name: &str, delay_ms: f64) -> Report {
    let delay = Distribution::of_ms((1..100).map(|at| delay_ms + f64::from(at) * 0.1));
    Report {
        schema: SCHEMA,
        run: Run {
            scenario: name.to_owned(),
            description: "Somebody dies".to_owned(),
            seed: 7,
            measured_s: 20.0,
            warnings: vec!["the machine was busy".to_owned()],
            ..Run::default()
        },
        targets: vec![sample_target(delay)],
        generator: Generator::default(),
        thresholds: vec![Threshold {
            name: "joined".to_owned(),
            limit: "100%".to_owned(),
            value: None,
            unit: "%".to_owned(),
            passed: false,
        }],
        comparison: vec![Comparison {
            figure: "CPU".to_owned(),
            ratio: 1.5,
            runs: 4,
            ..Comparison::default()
        }],
    }
}

fn sample_target(delay: Option<Distribution>) -> Target {
    Target {
        name: "causeway".to_owned(),
        nodes: vec![Node {
            name: "fra".to_owned(),
            cpu_ns_per_forwarded_packet: Some(5_000.0),
            cpu_share: Some(0.2),
            rss_kib: vec![20_480; 90],
            rss_trend: Some(Trend::default()),
            ..Node::default()
        }],
        links: vec![Link {
            from: "fra".to_owned(),
            to: "sin".to_owned(),
            bytes: 1_000,
            copies: Some(1.04),
            ..Link::default()
        }],
        joins: Joins {
            planned: 4,
            succeeded: 4,
            failures: vec![("the server closed <the> connection".to_owned(), 2)],
            first_frame: delay.clone(),
            first_picture: delay.clone(),
            ..Joins::default()
        },
        media: vec![Media {
            from: "fra".to_owned(),
            to: "sin".to_owned(),
            kind: "audio".to_owned(),
            client: "light".to_owned(),
            delay: delay.clone(),
            frames_expected: 100,
            frames: 99,
            ..Media::default()
        }],
        control: vec![Control {
            figure: "delay".to_owned(),
            client: "browser".to_owned(),
            ..Control::default()
        }],
        matrix: Matrix {
            names: vec!["a".to_owned(), "b".to_owned()],
            audio: vec![vec![None, Some(1.0)], vec![Some(0.4), None]],
            video: vec![vec![None, None], vec![None, None]],
        },
        faults: vec![Fault {
            at_s: 16.0,
            what: "kill sin".to_owned(),
            audio_gap: delay,
            gaps: vec![FaultGap {
                participant: "fra-0".to_owned(),
                ..FaultGap::default()
            }],
            ..Fault::default()
        }],
        timeline: (0..20)
            .map(|at_s| Second {
                at_s,
                frames: 100,
                p50_ms: 80.0,
                p99_ms: 90.0,
                participants: 4,
            })
            .collect(),
        ..Target::default()
    }
}

#[test]
fn a_report_survives_its_file() {
    let report = sample("s6", 80.0);
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
}

#[test]
fn every_field_is_documented() {
    fn keys(value: &serde_json::Value, into: &mut std::collections::BTreeSet<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                for (key, value) in fields {
                    into.insert(key.clone());
                    keys(value, into);
                }
            }
            serde_json::Value::Array(values) => values.iter().for_each(|value| keys(value, into)),
            _ => {}
        }
    }
    let mut found = std::collections::BTreeSet::new();
    keys(&serde_json::to_value(sample("s6", 80.0)).unwrap(), &mut found);
    assert!(found.len() > 60);
    let text = include_str!("../../REPORT.md");
    let missing: Vec<&String> = found
        .iter()
        .filter(|key| !text.contains(&format!("| `{key}` |")))
        .collect();
    assert!(missing.is_empty(), "not in REPORT.md: {missing:?}");
}

#[test]
fn the_page_says_it_all_and_fetches_nothing() {
    let page = html::page(&sample("s6", 80.0));
    for part in [
        "kill sin",
        "failed",
        "fra to sin audio",
        "Who hears whom",
        "fra-0",
        "the machine was busy",
        "not later than",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(page.contains("&lt;the&gt;") && !page.contains("<the>"));
    for fetching in ["<script", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(fetching), "{fetching}");
    }
    assert!(!page.contains("Who sees whom"), "no video was expected");
}

#[test]
fn the_table_has_a_row_for_every_figure() {
    let text = markdown::table(&sample("a|b", 80.0));
    assert!(
        text.contains("a\\|b") && text.contains("| fra to sin, audio (light) | p50"),
        "{text}"
    );
    assert!(text.contains("not measured, failed"));
}

#[test]
fn only_like_is_compared_with_like() {
    let (a, b) = (sample("s6", 80.0), sample("s6", 160.0));
    let rows = compare(&a, &b, false).unwrap();
    let delay = rows
        .iter()
        .find(|row| row.name.contains("audio (light): delay p50"))
        .unwrap();
    assert!((delay.ratio().unwrap() - 1.94).abs() < 0.02, "{delay:?}");
    let other = sample("s2", 80.0);
    assert!(matches!(
        compare(&a, &other, false),
        Err(CompareError::Different { .. })
    ));
    assert!(compare(&a, &other, true).is_ok());
    let newer = Report {
        schema: 2,
        ..sample("s6", 80.0)
    };
    assert_eq!(compare(&a, &newer, true), Err(CompareError::Schema(2)));
}

proptest! {
    #[test]
    fn text_from_outside_stays_text(text in "[<>\"'&a-z|\\n]{1,30}") {
        let mut report = sample(&text, 80.0);
        report.targets[0].name = format!("<b>{text}");
        report.targets[0].faults[0].what = format!("<i>{text}");
        report.targets[0].joins.failures[0].0 = format!("<u>{text}");
        let page = html::page(&report);
        prop_assert!(!page.contains("<b>") && !page.contains("<i>") && !page.contains("<u>"));
        prop_assert!(markdown::table(&report).lines().skip(3).all(|line| line.starts_with("| ") || line.is_empty()));
    }
}
