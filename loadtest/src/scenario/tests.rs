use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn smoke() -> Scenario {
    named("smoke").unwrap().scenario().unwrap()
}

#[test]
fn every_built_in_scenario_can_be_planned() {
    for builtin in builtins() {
        let scenario = builtin
            .scenario()
            .unwrap_or_else(|error| panic!("{}: {error}", builtin.name));
        assert_eq!(scenario.name, builtin.name);
        assert!(!scenario.description.is_empty());
        let plan = Plan::of(&scenario).unwrap();
        assert_eq!(
            plan.participants.len(),
            scenario.participants(),
            "{}",
            builtin.name
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_list_and_another_one_another() {
    for builtin in builtins() {
        let mut scenario = builtin.scenario().unwrap();
        let first = Plan::of(&scenario).unwrap();
        assert_eq!(first.to_string(), Plan::of(&scenario).unwrap().to_string());
        if scenario.speech == SpeechModel::Turns {
            scenario.set("seed", "77").unwrap();
            assert_ne!(
                first.to_string(),
                Plan::of(&scenario).unwrap().to_string(),
                "{}",
                builtin.name
            );
        }
    }
}

#[test]
fn people_come_before_they_go_and_the_list_is_in_order() {
    let mut scenario = named("s9").unwrap().scenario().unwrap();
    scenario.set("duration", "10m").unwrap();
    let plan = Plan::of(&scenario).unwrap();
    assert!(plan.events.windows(2).all(|pair| pair[0].at <= pair[1].at));
    let mut inside: BTreeMap<u32, bool> = BTreeMap::new();
    let mut left = 0;
    for event in &plan.events {
        match event.what {
            What::Join(id) => assert!(!std::mem::replace(inside.entry(id).or_default(), true)),
            What::Leave(id) => {
                left += 1;
                assert!(std::mem::replace(inside.entry(id).or_default(), false));
            }
            _ => {}
        }
    }
    assert!(left > 100, "{left}");
    assert_eq!(plan.events.last().unwrap().what, What::MeasureUntil);
}

#[test]
fn values_can_be_set_within_reason() {
    let mut scenario = smoke();
    let before = scenario.participants();
    scenario.set("scale", "3").unwrap();
    assert_eq!(scenario.participants(), before * 3);
    scenario.set("duration", "2m").unwrap();
    assert_eq!(scenario.duration, Duration::from_secs(120));
    for (key, text) in [
        ("scale", "-1"),
        ("duration", "5"),
        ("seed", "x"),
        ("colour", "red"),
        ("rooms", "900000"),
    ] {
        assert!(scenario.set(key, text).is_err(), "{key}={text}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let text = named("smoke").unwrap().text();
    let swap = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        Scenario::from_toml(&text.replacen(from, to, 1))
            .unwrap_err()
            .to_string()
    };
    for (from, to, part) in [
        (
            "duration = \"8s\"",
            "duration = \"8\"",
            "duration: \"8\" is no time",
        ),
        (
            "duration = \"8s\"",
            "duration = \"8s\"\ncolour = \"red\"",
            "unknown field `colour`",
        ),
        (
            "region = \"fra\"",
            "region = \"mars\"",
            "groups[0].region: there is no region \"mars\"; there are fra, sin",
        ),
        (
            "delay = \"80ms\"",
            "latency = \"80ms\"",
            "`latency` is not a property of a link",
        ),
        ("role = \"speaker\"", "role = \"king\"", "unknown variant `king`"),
        (
            "name = \"fra\"",
            "name = \"fra\"\nnode = false",
            "regions: at least one with a node is needed, and those without come last",
        ),
        (
            "joined =",
            "happy =",
            "thresholds.happy: no such figure; there are joined",
        ),
        ("count = 2", "count = 900000", "between 1 and 20000 people"),
    ] {
        let error = swap(from, to);
        assert!(error.contains(part), "{to}: {error}");
    }
    let fault = format!("{text}\n[[faults]]\nat = \"1s\"\nkind = \"sneeze\"\n");
    assert!(
        Scenario::from_toml(&fault)
            .unwrap_err()
            .to_string()
            .contains("no fault; there are kill")
    );
    let late = format!("{text}\n[[faults]]\nat = \"1h\"\nkind = \"kill\"\nnode = \"fra\"\n");
    assert!(
        Scenario::from_toml(&late)
            .unwrap_err()
            .to_string()
            .contains("after the end")
    );
}

proptest! {
    #[test]
    fn garbage_is_an_error(cut in 0_usize..1_500, noise in "\\PC{0,60}") {
        let mut text: String = named("smoke").unwrap().text().chars().take(cut).collect();
        text.push_str(&noise);
        let _ = Scenario::from_toml(&text);
    }
}
