/** Choice of microphone and camera, and what to do where one of them gives nothing. */
import type { ComponentChildren } from "preact";
import { t } from "../i18n";
import type { DeviceFault } from "../model/permission";
import type { DeviceChoice, LocalMedia, MediaState } from "../session/local-media";
import { fixFor } from "./faults";
import { prefer } from "./preferences";

export function DeviceFields({ media, state }: { media: LocalMedia; state: MediaState }) {
  const chooseMic = (id: string) => {
    prefer({ micId: id });
    void media.choose("mic", id);
  };
  const chooseCamera = (id: string) => {
    prefer({ camId: id });
    void media.choose("camera", id);
  };
  return (
    <>
      <OrFault kind="mic" fault={state.mic.fault} again={() => void media.setMic(true)}>
        <DeviceSelect id="mic" label={t("prejoin.mic")} devices={state.mics} chosen={state.micId} choose={chooseMic} />
        <NoiseChoice media={media} on={state.noiseSuppression} />
      </OrFault>
      <OrFault kind="camera" fault={state.camera.fault} again={() => void media.setCamera(true)}>
        <DeviceSelect id="camera" label={t("prejoin.camera")} devices={state.cameras} chosen={state.cameraId} choose={chooseCamera} />
      </OrFault>
    </>
  );
}

interface FaultProps {
  kind: "mic" | "camera";
  fault: DeviceFault | null;
  again: () => void;
  children: ComponentChildren;
}

/** A control, or in its place the way to make it work. */
function OrFault({ kind, fault, again, children }: FaultProps) {
  if (fault === null) return <>{children}</>;
  return (
    <div class="fix" role="status" data-testid={`fault-${kind}`} data-fault={fault}>
      <p class="fix-title">{t(`fault.${kind}.title`)}</p>
      <p>{fixFor(kind, fault)}</p>
      <button type="button" class="secondary" onClick={again}>
        {t("prejoin.again")}
      </button>
    </div>
  );
}

interface SelectProps {
  id: string;
  label: string;
  devices: readonly DeviceChoice[];
  chosen: string;
  choose: (id: string) => void;
}

function DeviceSelect({ id, label, devices, chosen, choose }: SelectProps) {
  const named = devices.filter((device) => device.id !== "default");
  const known = named.some((device) => device.id === chosen);
  return (
    <div class="row">
      <label for={`device-${id}`}>{label}</label>
      <select
        id={`device-${id}`}
        class="field"
        data-testid={`device-${id}`}
        value={known ? chosen : ""}
        onChange={(event) => choose(event.currentTarget.value)}
      >
        <option value="">{t("prejoin.device.default")}</option>
        {named.map((device, index) => (
          <option key={device.id} value={device.id}>
            {device.label || t("prejoin.device.unnamed", { number: index + 1 })}
          </option>
        ))}
      </select>
    </div>
  );
}

function NoiseChoice({ media, on }: { media: LocalMedia; on: boolean }) {
  const change = (wanted: boolean) => {
    prefer({ noiseSuppression: wanted });
    void media.setNoiseSuppression(wanted);
  };
  return (
    <div class="check">
      <input
        type="checkbox"
        id="noise"
        data-testid="prejoin-noise"
        checked={on}
        onChange={(event) => change(event.currentTarget.checked)}
        aria-describedby="noise-hint"
      />
      <label for="noise">{t("prejoin.noise")}</label>
      <p class="hint" id="noise-hint">
        {t("prejoin.noise.hint")}
      </p>
    </div>
  );
}
