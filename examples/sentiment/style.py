"""How the report looks: one column, two colour schemes, pictures on white in both."""

__all__ = ["STYLE"]

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #24292f; --faint: #57606a; --line: #d8dee4; --tint: #f3f6f9;
  --note: #fff4d6; --fresh: #00735a; --rotten: #b0432f; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181d; --ink: #e3e7eb; --faint: #9aa4ae; --line: #323940;
  --tint: #1f252b; --note: #3a3015; --fresh: #4cc9a0; --rotten: #ec8a74; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 17px/1.6 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 50rem; margin: 0 auto; padding: 2rem 1.1rem 4rem; overflow-wrap: break-word; }
h1 { font-size: clamp(1.8rem, 6vw, 2.7rem); line-height: 1.15; margin: 0.5rem 0; letter-spacing: -0.02em; }
h2 { margin: 2.6rem 0 0.6rem; font-size: 1.45rem; line-height: 1.25; }
h3 { margin: 1.8rem 0 0.4rem; font-size: 1.1rem; }
h4 { margin: 1.2rem 0 0; font-size: 1rem; } h4 + p { margin: 0.1rem 0 0.4rem; }
.lead { font-size: 1.15rem; color: var(--faint); margin-top: 0; }
.note { background: var(--note); border-left: 4px solid #e69f00; padding: 0.6rem 0.9rem; }
.small, figcaption { font-size: 0.88rem; color: var(--faint); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: 0.6rem;
  margin: 1.4rem 0 0.4rem; }
.tiles div { background: var(--tint); border-radius: 10px; padding: 0.7rem 0.8rem; }
.tiles b { display: block; font-size: 1.7rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tiles span { font-size: 0.82rem; line-height: 1.3; color: var(--faint); display: block; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.88rem; line-height: 1.35; font-variant-numeric: tabular-nums; }
th, td { padding: 0.45rem 0.6rem; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top; }
td { white-space: nowrap; }
thead th { color: var(--faint); font-weight: 600; vertical-align: bottom; border-bottom: 2px solid var(--line); }
th:first-child { text-align: left; min-width: 7rem; position: sticky; left: 0; background: var(--paper); }
figure { margin: 1.6rem 0 2.2rem; }
img { display: block; width: 100%; height: auto; background: #fff; border-radius: 8px; }
figcaption { margin-top: 0.4rem; }
pre { background: var(--tint); border-radius: 8px; padding: 0.7rem 0.9rem; font-size: 0.82rem; line-height: 1.5;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.snippets { list-style: none; padding: 0; }
.snippets li { border-left: 3px solid var(--line); padding-left: 0.8rem; margin: 0.8rem 0; line-height: 1.45; }
.snippets small { display: block; color: var(--faint); }
.fresh { color: var(--fresh); } .rotten { color: var(--rotten); }
"""
