/** The client's pictograms: one stroke width, drawn on a 20 px grid, always beside a text that says the same. */
import type { ComponentChildren } from "preact";

function Icon({ children }: { children: ComponentChildren }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}

const SLASH = <path d="M3 3l14 14" />;

export function MicIcon({ off }: { off: boolean }) {
  return (
    <Icon>
      <rect x="7.5" y="2.5" width="5" height="9" rx="2.5" />
      <path d="M4.5 9.5a5.5 5.5 0 0 0 11 0M10 15v2.5M7 17.5h6" />
      {off && SLASH}
    </Icon>
  );
}

export function CameraIcon({ off }: { off: boolean }) {
  return (
    <Icon>
      <rect x="2.5" y="5.5" width="10" height="9" rx="1" />
      <path d="M12.5 9l5-2.5v7l-5-2.5" />
      {off && SLASH}
    </Icon>
  );
}

export function ShareIcon() {
  return (
    <Icon>
      <rect x="2.5" y="3.5" width="15" height="10" rx="1" />
      <path d="M10 11.5V6.5M7.5 8.5L10 6l2.5 2.5M7 17h6" />
    </Icon>
  );
}

export function PeopleIcon() {
  return (
    <Icon>
      <circle cx="7" cy="7" r="3" />
      <path d="M1.5 16.5c0-3.5 2.5-5 5.5-5s5.5 1.5 5.5 5M12.5 4.5a2.5 2.5 0 0 1 0 5M14 11.700c2.5.3 4.5 1.8 4.5 4.8" />
    </Icon>
  );
}

export function ChatIcon() {
  return (
    <Icon>
      <path d="M3 3.5h14v10H9l-4 3.5v-3.5H3z" />
    </Icon>
  );
}

export function LeaveIcon() {
  return (
    <Icon>
      <path d="M8 3.5H3.5v13H8M8 10h9M13.5 6.5L17 10l-3.5 3.5" />
    </Icon>
  );
}

export function SettingsIcon() {
  return (
    <Icon>
      <path d="M3 6h7M14 6h3M3 14h3M10 14h7" />
      <circle cx="12" cy="6" r="2" />
      <circle cx="8" cy="14" r="2" />
    </Icon>
  );
}

export function CopyIcon() {
  return (
    <Icon>
      <rect x="6.5" y="6.5" width="10" height="10" rx="1" />
      <path d="M13.5 6.5v-3h-10v10h3" />
    </Icon>
  );
}

export function CloseIcon() {
  return (
    <Icon>
      <path d="M5 5l10 10M15 5L5 15" />
    </Icon>
  );
}

export function ArrowIcon({ back }: { back: boolean }) {
  return (
    <Icon>
      <path d={back ? "M12 4l-6 6 6 6" : "M8 4l6 6-6 6"} />
    </Icon>
  );
}

export function ShuffleIcon() {
  return (
    <Icon>
      <path d="M2.5 6h3c5 0 4 8 9 8h3M2.5 14h3c1.5 0 2.5-.8 3.2-1.900M11 7.600C11.7 6.7 12.7 6 14.5 6h3M15 3.5L17.5 6 15 8.5M15 11.5l2.5 2.5-2.5 2.5" />
    </Icon>
  );
}
