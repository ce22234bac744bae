/** The screens of the client, how to come to each, and the looks they are judged in. */

export const LOOKS = [
  { look: "wide-day", width: 1440, height: 900 },
  { look: "wide-night", width: 1440, height: 900, dark: true },
  { look: "narrow-day", width: 360, height: 740 },
  { look: "narrow-night", width: 360, height: 740, dark: true },
];

const inMeeting = (query, then) => ({ path: `/m/amber-fjord-oak?name=Ann&autojoin=1&${query}`, wait: "[data-testid=stage]", then });
const click = (id) => (page) => page.click(`[data-testid=${id}]`);

export const SCREENS = {
  home: { path: "/", wait: "[data-testid=home-start]" },
  "home-fault": { path: "/", wait: "[data-testid=home-open]", then: click("home-open") },
  prejoin: { path: "/m/amber-fjord-oak?fake=2", wait: "[data-testid=prejoin-join]" },
  "meeting-1": inMeeting("fake=1"),
  "meeting-2": inMeeting("fake=2"),
  "meeting-7": inMeeting("fake=7"),
  "meeting-40": inMeeting("fake=40"),
  "share-7": inMeeting("fake=7&share=1"),
  "slow-7": inMeeting("fake=7&slow=1"),
  "people-7": inMeeting("fake=7", click("toggle-people")),
  "chat-7": inMeeting("fake=7", click("toggle-chat")),
  "settings-2": inMeeting("fake=2", click("toggle-settings")),
  "unstable-7": inMeeting("fake=7&trouble=1&since=1500"),
  "reconnecting-7": inMeeting("fake=7&trouble=through"),
  "lost-7": inMeeting("fake=7&trouble=1&since=20000"),
  left: inMeeting("fake=2", click("leave")),
};

/** Opens a screen in a look and waits until it stands still. */
export async function open(browser, origin, name, { look, ...size }) {
  const screen = SCREENS[name];
  const page = await browser.page(size);
  await page.goto(origin + screen.path);
  await page.waitForSelector(screen.wait);
  await page.waitForTimeout(700);
  await screen.then?.(page);
  await page.waitForTimeout(400);
  return page;
}
