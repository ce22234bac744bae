/** The SDK ring: unmodified client SDKs against a mesh of three nodes. `make test-sdk` provides what it needs. */
import { access } from "node:fs/promises";
import { join } from "node:path";
import { REPOSITORY, SDK_PYTHON } from "./lib/paths.mjs";
import { runRing } from "./lib/ring.mjs";

await access(SDK_PYTHON).catch(() => {
  console.error(`${SDK_PYTHON} is missing. Run: infra/bootstrap.sh sdk`);
  process.exit(1);
});
await runRing([join(REPOSITORY, "loadtest/sdk/sdk.test.mjs")]);
