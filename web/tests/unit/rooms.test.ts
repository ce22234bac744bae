import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { destinationOf, invitation, queryForNode, roomFromPath, roomSlug, threeWords } from "../../src/model/rooms";
import { WORDS } from "../../src/model/words";

const HERE = "https://fra.example.org";

describe("meeting names", () => {
  it("come from 256 different plain words", () => {
    expect(new Set(WORDS).size).toBe(256);
    for (const word of WORDS) expect(word).toMatch(/^[a-z]{3,9}$/);
  });

  it("are three different words and already a slug", () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.nat()), (stream) => {
        const name = threeWords((below) => (stream.next().value as number) % below);
        expect(new Set(name.split("-")).size).toBe(3);
        expect(roomSlug(name)).toBe(name);
      }),
      { numRuns: 50 },
    );
  });

  it("become the same slug however often they are cleaned", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 90 }), (typed) => {
        expect(roomSlug(roomSlug(typed))).toBe(roomSlug(typed));
        expect(roomFromPath(`/m/${encodeURIComponent(roomSlug(typed))}`)).toBe(roomSlug(typed) || null);
      }),
    );
    expect(roomSlug("  Weekly Sync. No 4! ")).toBe("weekly-sync-no-4");
    expect(encodeURIComponent(roomSlug("𠮷".repeat(70)))).toHaveLength(64 * 12);
    expect(roomSlug("Große Runde")).toBe("große-runde");
    expect(roomSlug("../../etc")).toBe("etc");
    expect(roomSlug("!!!")).toBe("");
  });

  it("are read from the path of a meeting link and from nothing else", () => {
    expect(roomFromPath("/m/amber-fjord-oak")).toBe("amber-fjord-oak");
    expect(roomFromPath("/m/gro%C3%9Fe-runde/")).toBe("große-runde");
    expect(roomFromPath("/m/%E0%A4%A")).toBeNull();
    expect(roomFromPath("/")).toBeNull();
    expect(roomFromPath("/x/amber")).toBeNull();
  });
});

describe("a pasted link", () => {
  it("leads to this node, to another node, or nowhere", () => {
    expect(destinationOf("amber-fjord-oak", HERE)).toBe("/m/amber-fjord-oak");
    expect(destinationOf(`${HERE}/m/amber?pretend=1.2.3.4`, HERE)).toBe("/m/amber?pretend=1.2.3.4");
    expect(destinationOf("https://sin.example.org/m/amber", HERE)).toBe("https://sin.example.org/m/amber");
    expect(destinationOf("sin.example.org/m/amber", HERE)).toBe("https://sin.example.org/m/amber");
    expect(destinationOf("/m/amber", HERE)).toBe("/m/amber");
    expect(destinationOf("https://example.org/other", HERE)).toBeNull();
    expect(destinationOf("   ", HERE)).toBeNull();
  });

  it("never leads to a script or a foreign scheme", () => {
    for (const bad of ["javascript:alert(1)//m/x", "data:text/html,/m/x", "javascript://h/m/x", "file:///m/x", "ftp://h/m/x"])
      expect(destinationOf(bad, HERE)).toBeNull();
    fc.assert(
      fc.property(fc.string(), (text) => {
        const destination = destinationOf(text, HERE);
        if (destination !== null) expect(destination).toMatch(/^(https?:\/\/[^/]*)?\/m\/[^/]+$/);
      }),
    );
  });
});

describe("queries", () => {
  it("keep for the node what is for the node", () => {
    expect(queryForNode("?pretend=1.2.3.4&name=Ann&autojoin=1&fake=4")).toBe("?pretend=1.2.3.4");
    expect(queryForNode("?name=Ann")).toBe("");
  });

  it("are not part of an invitation", () => {
    expect(invitation(HERE, "amber")).toBe("https://fra.example.org/m/amber");
  });
});
