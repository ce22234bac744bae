/** Turns message keys into sentences of the chosen language. Strings live in one file per language. */
import { en, type MessageKey } from "./en";

export type { MessageKey } from "./en";

export type Values = Record<string, string | number>;

/** Sentence for a key. Missing values stay visible as `{name}`, so that they are found. */
export function t(key: MessageKey, values: Values = {}): string {
  return fill(en[key], values, plurals);
}

const plurals = new Intl.PluralRules("en");

/** Replaces `{name}` and `{count|one: …|other: …}` in a text. */
export function fill(text: string, values: Values, rules: Intl.PluralRules): string {
  return text.replace(/\{(\w+)((?:\|[^{}]*)?)\}/g, (whole, name: string, forms: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    return forms === "" ? String(value) : choose(forms, Number(value), rules);
  });
}

function choose(forms: string, count: number, rules: Intl.PluralRules): string {
  const texts = new Map(
    forms
      .slice(1)
      .split("|")
      .map((form) => {
        const colon = form.indexOf(":");
        return [form.slice(0, colon).trim(), form.slice(colon + 1).trim()] as const;
      }),
  );
  const text = texts.get(rules.select(count)) ?? texts.get("other") ?? "";
  return text.replace("#", String(count));
}
