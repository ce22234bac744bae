import { readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";

/** Packages whose code or glyphs end up in the built client, with the licence file each one ships. */
const SHIPPED = ["livekit-client", "preact", "@preact/signals", "@fontsource/b612", "@fontsource/b612-mono"];

/** Emits `licenses.txt`: the licence texts that must travel with the built client. */
function licences(): Plugin {
  return {
    name: "causeway-licences",
    apply: "build",
    generateBundle() {
      const texts = SHIPPED.map((name) => {
        const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8")) as { version: string };
        return `${name} ${version}\n\n${readFileSync(`node_modules/${name}/LICENSE`, "utf8").trim()}\n`;
      });
      this.emitFile({ type: "asset", fileName: "licenses.txt", source: texts.join(`\n${"-".repeat(72)}\n\n`) });
    },
  };
}

export default defineConfig({
  base: "/",
  plugins: [licences()],
  build: {
    target: "es2022",
    cssTarget: ["chrome123", "firefox128", "safari18"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    // The media library is one module of about 550 kB (140 compressed); scripts/check-bundle.mjs holds the real budgets.
    chunkSizeWarningLimit: 600,
    reportCompressedSize: false,
  },
  // The development server answers /m/<room> like a node does and passes joins on to a local node.
  server: { host: "127.0.0.1", port: 5173, proxy: { "/api": "http://127.0.0.1:7880" } },
  test: { include: ["tests/unit/**/*.test.ts"], environment: "node", silent: "passed-only", testTimeout: 60_000 },
} as Parameters<typeof defineConfig>[0]);
