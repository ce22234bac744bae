/**
 * Which node to try next when the one that served us is gone, and how long to wait between rounds. Pure: the session
 * carries out what this says. Every node is asked once per round, best first; after a round nobody is excluded any
 * more, because nodes come back.
 */

export interface NodeChoice {
  node: string;
  region: string;
  /** Address of the node for media clients, `ws://` or `wss://`. */
  url: string;
}

export interface RejoinPlan {
  /** Nodes to ask, best first. */
  readonly nodes: readonly NodeChoice[];
  /** Names found dead in this round. */
  readonly dead: readonly string[];
  /** Completed rounds without success. */
  readonly round: number;
}

/** How long the client keeps trying before it asks the person. */
export const GIVE_UP_AFTER_MS = 5 * 60_000;

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8_000;

/**
 * Starts a plan after `current` failed. The first round asks the other nodes; if none of them answers either, the fault
 * was probably our own network, and later rounds ask every node by rank again.
 */
export function startPlan(alternatives: readonly NodeChoice[], current: NodeChoice): RejoinPlan {
  const known = alternatives.some((choice) => choice.node === current.node);
  const { node, region, url } = current;
  const nodes = known ? [...alternatives] : [{ node, region, url }, ...alternatives];
  return { nodes, dead: [current.node], round: 0 };
}

/** The node to ask next, or null when this round is over. */
export function nextNode(plan: RejoinPlan): NodeChoice | null {
  return plan.nodes.find((choice) => !plan.dead.includes(choice.node)) ?? null;
}

/** The plan after a node did not answer or refused. */
export function withDead(plan: RejoinPlan, node: string): RejoinPlan {
  return plan.dead.includes(node) ? plan : { ...plan, dead: [...plan.dead, node] };
}

/** The plan for another round, in which every node is asked again. */
export function nextRound(plan: RejoinPlan): RejoinPlan {
  return { ...plan, dead: [], round: plan.round + 1 };
}

/** Pause before a round: doubles up to a limit, spread over 50 to 150 % by `random` in `0..1`. */
export function pauseBeforeRoundMs(round: number, random: number): number {
  const base = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.max(0, round - 1));
  return Math.round(base * (0.5 + random));
}

/** The address a node's HTTP interface has, from the one media clients use. */
export function httpOrigin(url: string): string {
  const parsed = new URL(url);
  const secure = parsed.protocol === "wss:" || parsed.protocol === "https:";
  return `${secure ? "https" : "http"}://${parsed.host}`;
}
