/** Entry of the client: draws the screen that the address names. */
import { render } from "preact";
import { roomFromPath } from "../model/rooms";
import { Home } from "./home";
import { MeetingPage } from "./meeting-page";
import { applyTheme } from "./preferences";
import "./styles/index.css";

applyTheme();

const room = roomFromPath(location.pathname);
const host = document.getElementById("app");
if (host) render(room === null ? <Home /> : <MeetingPage room={room} />, host);
