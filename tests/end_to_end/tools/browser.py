"""Looks at a status page as a person with a browser does.

    browser.py CHROMIUM URL

Reads a command a line from standard input, `{"do": NAME, ...}`, and answers each with a line of JSON. The pictures in docs/ are of
`valve demo` after a while:

    {"do": "picture", "path": "docs/status-light.png", "width": 1280, "height": 1000, "scheme": "light"}
"""

import json
import sys
from urllib.parse import urlsplit

from playwright.sync_api import sync_playwright

HOSTILE = '"><img src=x onerror="window.harmed=1"><script>window.harmed=1</script>\u202e&lt;b&gt;{{1}}'

SHOWN = """async () => {
  const text = (element) => element.innerText.trim();
  const status = await (await fetch('api/status')).json();
  const tables = [...document.querySelectorAll('.details')].map((section) => [section.id, text(section)]);
  return {
    title: document.title,
    verdict: text(document.querySelector('#verdict-word')),
    reasons: [...document.querySelectorAll('#reasons li')].map(text),
    figures: Object.fromEntries([...document.querySelectorAll('[data-field]')].map((e) => [e.dataset.field, text(e)])),
    signs: Object.fromEntries([...document.querySelectorAll('article')].map((e) => [e.id, text(e.querySelector('.sign'))])),
    charts: [...document.querySelectorAll('figure')].map((e) => e.querySelector('.line').getAttribute('d')),
    sections: Object.fromEntries(tables),
    stale: !document.querySelector('#stale').hidden && text(document.querySelector('#stale')),
    status,
  };
}"""

# Where the focus is, in words; that it can be seen; and whether it is in the picture.
FOCUSED = """() => {
  const element = document.activeElement;
  if (element === document.body || element === document.documentElement) return null;
  const style = getComputedStyle(element);
  const region = element.closest('.details');
  return {
    what: `${element.tagName} ${element.id || element.getAttribute('href') || (region && region.id)}`,
    visible: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
  };
}"""

FOCUSABLE = """() => [...document.querySelectorAll('a[href], button, [tabindex="0"]')]
  .filter((element) => element.getClientRects().length > 0)
  .map((element) => {
    const region = element.closest('.details');
    return `${element.tagName} ${element.id || element.getAttribute('href') || (region && region.id)}`;
  })"""

# The least contrast of text to what is behind it (WCAG 2, relative luminance), and where.
CONTRAST = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [r, g, b] = channels(colour).slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (colour.startsWith('rgb(')) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const texts = [...document.querySelectorAll('body *')].filter((element) =>
    element.getClientRects().length > 0 && !element.closest('svg')
      && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
  const contrasts = texts.map((element) => {
    const [one, other] = [getComputedStyle(element).color, behind(element)].map(luminance).sort((a, b) => b - a);
    return [(one + 0.05) / (other + 0.05), `${element.tagName} ${element.className} ${element.textContent.trim().slice(0, 30)}`];
  });
  return { texts: texts.length, least: contrasts.sort((a, b) => a[0] - b[0])[0] };
}"""

HARM = """(hostile) => ({
  harmed: window.harmed === 1,
  elements: document.querySelectorAll('main img, main script, main iframe, main b').length,
  shown: [...document.querySelectorAll('.details')].filter((e) => e.textContent.includes(hostile)).map((e) => e.id),
})"""


def hostile(value, kept=("now", "started_at", "version", "hour", "stored_at")):
    """The same with every text replaced, but for times and what the page compares."""
    if isinstance(value, dict):
        return {name: inner if name in kept else hostile(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [hostile(inner) for inner in value]
    return HOSTILE if isinstance(value, str) else value


class Looking:
    """A page that is being looked at, and what the browser said of it."""

    def __init__(self, browser, url):
        self.url = url
        self.context = browser.new_context(viewport={"width": 1280, "height": 900})
        self.page = self.context.new_page()
        self.said, self.hosts = [], set()
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        self.page.goto(url)
        self.page.wait_for_function("document.querySelector('#name').textContent !== 'valve'")

    def look(self):
        return self.page.evaluate(SHOWN)

    def said_and_asked(self):
        return {"said": self.said, "hosts": sorted(self.hosts)}

    def tab_through(self):
        """Presses Tab until the focus has been everywhere."""
        self.page.evaluate("document.activeElement.blur()")
        wanted = self.page.evaluate(FOCUSABLE)
        reached = []
        for _ in range(2 * len(wanted)):
            self.page.keyboard.press("Tab")
            focused = self.page.evaluate(FOCUSED)
            if focused is None:
                break
            reached.append(focused)
        return {"wanted": wanted, "reached": reached}

    def press(self, key):
        """Presses a key on the button that pauses updates."""
        self.page.focus("#pause")
        self.page.keyboard.press(key)
        return self.page.inner_text("#updated")

    def view(self, width, scheme):
        """What becomes of the page on a screen so wide, with this colour scheme."""
        self.page.set_viewport_size({"width": width, "height": 800})
        self.page.emulate_media(color_scheme=scheme)
        self.page.wait_for_timeout(600)  # transitions
        wide = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        return {"page": wide[0], "window": wide[1], "contrast": self.page.evaluate(CONTRAST)}

    def harm(self):
        """Lets /api/status answer with hostile text wherever it has text."""
        status = self.page.evaluate("async () => (await fetch('api/status')).json()")
        answer = json.dumps(hostile(status))
        self.page.route("**/api/status", lambda route: route.fulfill(body=answer, content_type="application/json"))
        self.page.wait_for_function("text => document.querySelector('#name').textContent === text", arg=HOSTILE)
        self.page.wait_for_timeout(500)  # what would run, would have
        return self.page.evaluate(HARM, HOSTILE)

    def wait_stale(self):
        self.page.wait_for_selector("#stale:not([hidden])", timeout=60_000)
        return self.page.evaluate("""() => ({
            notice: document.querySelector('#stale').innerText,
            verdict: document.querySelector('#verdict-word').innerText,
            title: document.title,
            filter: getComputedStyle(document.querySelector('.figures')).filter,
            seen: document.querySelector('#stale').getBoundingClientRect().top >= 0,
        })""")

    def wait_answer(self):
        self.page.wait_for_selector("#stale", state="hidden", timeout=60_000)
        return {"verdict": self.page.inner_text("#verdict-word")}

    def picture(self, path, width, height, scheme, scale=1, whole=False):
        """Takes a picture, in a window of its own."""
        context = self.page.context.browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=scale
        )
        page = context.new_page()
        page.goto(self.url)
        page.wait_for_selector("tbody tr")
        page.wait_for_timeout(1_000)
        page.screenshot(path=path, full_page=whole)
        context.close()
        return {}


def main(executable, url):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        looking = Looking(browser, url)
        for line in sys.stdin:
            command = json.loads(line)
            answer = getattr(looking, command.pop("do"))(**command)
            print(json.dumps(answer), flush=True)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
