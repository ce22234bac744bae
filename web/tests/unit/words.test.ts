import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { fill, t } from "../../src/i18n";
import { browserOf, deviceFault } from "../../src/model/permission";
import { initials, NAME_HUES, nameHue } from "../../src/model/person";
import { DEFAULT_PREFS, parsePrefs } from "../../src/model/prefs";
import { parseGrant } from "../../src/session/join-api";
import { loudness } from "../../src/session/level-meter";

describe("sentences", () => {
  it("choose the form for a number and leave unknown values visible", () => {
    expect(t("meeting.people.count", { count: 1 })).toBe("1 person");
    expect(t("meeting.people.count", { count: 7 })).toBe("7 people");
    expect(fill("{a} and {b}", { a: "x" }, new Intl.PluralRules("en"))).toBe("x and {b}");
  });

  it("take values literally, whatever is in them", () => {
    expect(t("notice.chat", { name: "$&", text: "{name} $1" })).toBe("$&: {name} $1");
  });
});

describe("preferences", () => {
  it("survive anything in the store", () => {
    for (const bad of [null, "", "{", "[]", "null", "7", '{"theme":"pink","name":4,"noiseSuppression":"no"}'])
      expect(parsePrefs(bad)).toEqual(DEFAULT_PREFS);
    expect(parsePrefs('{"name":"Ann","noiseSuppression":false,"theme":"dark"}')).toMatchObject({ name: "Ann", noiseSuppression: false, theme: "dark" });
  });
});

describe("device faults", () => {
  it("are named from what browsers throw", () => {
    expect(["NotAllowedError", "NotFoundError", "NotReadableError", "SecurityError", "Odd"].map(deviceFault)).toEqual([
      "denied", "missing", "busy", "insecure", "failed",
    ]);
  });

  it("are explained for the browser at hand", () => {
    expect(browserOf("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0 Safari/537.36")).toBe("chrome");
    expect(browserOf("Mozilla/5.0 (Windows NT 10.0) Chrome/156.0 Safari/537.36 Edg/156.0")).toBe("edge");
    expect(browserOf("Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0")).toBe("firefox");
    expect(browserOf("Mozilla/5.0 (Macintosh) AppleWebKit/605 Version/19.0 Safari/605")).toBe("safari");
    expect(browserOf("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0) AppleWebKit/605 Safari/605")).toBe("ios");
  });
});

describe("a granted place", () => {
  const grant = { url: "ws://127.0.0.1:7880", token: "t", node: "fra", region: "Frankfurt", alternatives: [] };

  it("is taken only when it is complete", () => {
    expect(parseGrant(grant)).toEqual(grant);
    expect(parseGrant({ ...grant, token: undefined })).toBeNull();
    expect(parseGrant({ ...grant, url: "javascript:alert(1)" })).toBeNull();
    expect(parseGrant("ok")).toBeNull();
  });

  it("keeps the alternatives it understands", () => {
    const alternatives = [{ node: "sin", region: "Singapore", url: "ws://x:1", reasons: ["near"] }, { node: 4 }, null, { node: "bad", url: "::" }];
    expect(parseGrant({ ...grant, alternatives })?.alternatives).toEqual([{ node: "sin", region: "Singapore", url: "ws://x:1" }]);
  });
});

describe("names without a picture", () => {
  it("become initials and a stable hue", () => {
    expect(initials("Mei Tanaka")).toBe("MT");
    expect(initials("  åke  ")).toBe("Å");
    expect(initials("")).toBe("?");
    for (const identity of ["a", "b", "långt-namn", "👩‍🚀"]) expect(nameHue(identity)).toBeLessThan(NAME_HUES);
    expect(nameHue("a")).toBe(nameHue("a"));
  });
});

describe("the level meter", () => {
  it("goes from silence to full scale", () => {
    expect(loudness(new Float32Array(64))).toBe(0);
    expect(loudness(new Float32Array(64).fill(1))).toBe(1);
    expect(loudness(new Float32Array(64).fill(0.1))).toBeCloseTo(2 / 3, 2);
  });
});

describe("colours", () => {
  const raw = new Map([...readFileSync("src/tokens/raw.css", "utf8").matchAll(/(--raw-[\w-]+):\s*(#[0-9a-f]{6});/g)].map((m) => [m[1], m[2] as string]));
  const meaning = new Map(
    [...readFileSync("src/tokens/meaning.css", "utf8").matchAll(/(--[\w-]+):\s*light-dark\(var\((--raw-[\w-]+)\), var\((--raw-[\w-]+)\)\)/g)].map(
      (m) => [m[1] as string, [raw.get(m[2] as string) ?? "", raw.get(m[3] as string) ?? ""] as const],
    ),
  );

  it.each([
    ["--text", "--page", 4.5], ["--text", "--surface", 4.5], ["--text", "--surface-hover", 4.5], ["--text", "--water", 4.5],
    ["--text-quiet", "--page", 4.5], ["--text-quiet", "--surface", 4.5], ["--text-quiet", "--surface-hover", 4.5],
    ["--link", "--page", 4.5], ["--link", "--surface", 4.5], ["--on-link", "--link", 4.5], ["--on-link", "--link-strong", 4.5],
    ["--signal", "--page", 4.5], ["--signal", "--surface", 4.5], ["--on-notice", "--notice", 4.5],
    ["--page", "--text-quiet", 4.5], ["--edge", "--page", 3], ["--edge", "--surface", 3], ["--caution", "--surface", 3], ["--link", "--water", 3],
  ])("%s reads on %s by day and by night", (ink, ground, least) => {
    for (const light of [0, 1] as const) expect(contrast(meaning.get(ink)?.[light] ?? "", meaning.get(ground)?.[light] ?? "")).toBeGreaterThanOrEqual(least);
  });

  it("of name cards carry their ink", () => {
    for (let hue = 0; hue < NAME_HUES; hue++) expect(contrast(raw.get("--raw-card-ink") ?? "", raw.get(`--raw-card-${hue}`) ?? "")).toBeGreaterThanOrEqual(4.5);
  });
});

/** WCAG 2.2 contrast of two hex colours; 0 for what is not one, so that a missing token fails. */
function contrast(a: string, b: string): number {
  if (!/^#[0-9a-f]{6}$/.test(a) || !/^#[0-9a-f]{6}$/.test(b)) return 0;
  const luminance = (hex: string) =>
    [1, 3, 5]
      .map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
      .reduce((sum, c, i) => sum + c * ([0.2126, 0.7152, 0.0722][i] ?? 0), 0);
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}
