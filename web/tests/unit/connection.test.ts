import { describe, expect, it } from "vitest";
import { type LinkState, nextStageInMs, stageOf } from "../../src/model/connection";
import { httpOrigin, nextNode, nextRound, pauseBeforeRoundMs, startPlan, withDead } from "../../src/model/rejoin";

const down = (through: string | null): LinkState => ({ kind: "down", node: "fra", sinceMs: 1000, through, nodeReachable: null });

describe("a troubled connection", () => {
  it("is told in three calm stages", () => {
    const at = (elapsed: number) => stageOf(down(null), 1000 + elapsed);
    expect([0, 999, 1000, 3999, 4000, 14_999, 15_000].map(at)).toEqual([
      "connected", "connected", "unstable", "unstable", "reconnecting", "reconnecting", "lost",
    ]);
  });

  it("says at once through whom it goes on", () => {
    expect(stageOf(down("Singapore"), 1001)).toBe("reconnecting");
  });

  it("wakes the view exactly when the next stage begins", () => {
    let now = 1000;
    const stages: string[] = [];
    for (let wait = nextStageInMs(down(null), now); wait !== null; wait = nextStageInMs(down(null), now)) {
      now += wait;
      stages.push(stageOf(down(null), now));
    }
    expect(stages).toEqual(["unstable", "reconnecting", "lost"]);
  });
});

const node = (name: string) => ({ node: name, region: name.toUpperCase(), url: `ws://${name}.example.org:7880` });

describe("rejoining", () => {
  it("asks every other node by rank, then all of them again", () => {
    let plan = startPlan([node("fra"), node("sin"), node("syd")], node("fra"));
    const asked: string[] = [];
    for (let next = nextNode(plan); next; next = nextNode(plan)) {
      asked.push(next.node);
      plan = withDead(plan, next.node);
    }
    expect(asked).toEqual(["sin", "syd"]);
    plan = nextRound(plan);
    expect(plan.dead).toEqual([]);
    expect(nextNode(plan)?.node).toBe("fra");
  });

  it("asks the only node there is again after a pause", () => {
    const plan = startPlan([], node("fra"));
    expect(nextNode(plan)).toBeNull();
    expect(nextNode(nextRound(plan))?.node).toBe("fra");
  });

  it("pauses longer each round, within limits and spread", () => {
    expect(pauseBeforeRoundMs(1, 0)).toBe(250);
    expect(pauseBeforeRoundMs(1, 1)).toBe(750);
    expect(pauseBeforeRoundMs(3, 0.5)).toBe(2000);
    expect(pauseBeforeRoundMs(50, 1)).toBe(12_000);
  });

  it("finds the join address of a node from its media address", () => {
    expect(httpOrigin("ws://127.0.0.1:8080")).toBe("http://127.0.0.1:8080");
    expect(httpOrigin("wss://sin.example.org/rtc")).toBe("https://sin.example.org");
  });
});
