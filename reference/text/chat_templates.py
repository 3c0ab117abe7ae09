"""What transformers makes of chat templates that use Jinja's features one by one: the vectors of
packages/text/src/prompt/chat-template.test.ts. The templates are invented for this."""
import json
import pathlib

import jinja2
import transformers
from transformers.utils.chat_template_utils import _compile_jinja_template

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIST = [{"role": "system", "content": "Be <brief> & \"nice\"."}, {"role": "user", "content": " Hi\nthere "}, {"role": "assistant", "content": "Ähm 😀"}, {"role": "user", "content": "3 + 4?"}]
PARTS = [{"role": "user", "content": [{"type": "text", "text": "a "}, {"type": "image"}, {"type": "text", "text": "b"}]}, {"role": "assistant", "content": [{"type": "text", "text": "c"}]}]
EACH = "{% for m in messages %}"
TEMPLATES = {
    "trim_blocks and lstrip_blocks": "{% for m in messages %}\n    {% if m.role == 'user' %}\n{{ m['content'] }}\n    {% endif %}\n{% endfor %}\nend\n",
    "whitespace control": EACH + "\n  {{- m.role -}}  \n : {%- if true -%}  x  {%- endif +%}\n{% endfor %}",
    "comments": "{# one #}a{#- two -#}  b\n{# three #}\nc",
    "break and continue": EACH + "{% if m.role == 'system' %}{% continue %}{% endif %}{% if loop.index > 2 %}{% break %}{% endif %}{{ loop.index }}{{ m.content }}{% endfor %}",
    "loop variables": EACH + "{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}|{% endfor %}",
    "for else and filter": "{% for m in messages if m.role == 'tool' %}x{% else %}none{% endfor %}{% for m in messages if m.role == 'user' %}{{ loop.index }}{% endfor %}",
    "namespace": "{% set ns = namespace(n=0, seen=false) %}" + EACH + "{% set ns.n = ns.n + 1 %}{% if m.role == 'user' %}{% set ns.seen = true %}{% endif %}{% endfor %}{{ ns.n }} {{ ns.seen }}",
    "scoping": "{% set x = 1 %}" + EACH + "{% set x = 2 %}{% endfor %}{{ x }}",
    "macro": "{% macro turn(role, text, end='.') %}<{{ role }}>{{ text }}{{ end }}{% endmacro %}" + EACH + "{{ turn(m.role, m.content) }}{{ turn(m.role, 'x', end='!') }}{% endfor %}",
    "slices": "{{ messages[1:] | length }}{{ messages[-1].role }}{{ messages[:-1] | length }}{{ messages[::-1][0]['content'] }}{{ 'abcdef'[1:4] }}{{ 'abc'[-1] }}",
    "tojson": "{{ messages | tojson }}\n{{ messages[0] | tojson(indent=2) }}\n{{ {'b': [1, 2.5, none, true], 'a': 'ü<'} | tojson }}",
    "string methods": "{{ messages[1].content.strip() }}|{{ ' a,b '.split(',') | length }}|{{ 'Ab'.upper() }}{{ 'Ab'.lower() }}|{{ 'hello'.startswith('he') }}{{ 'hello'.endswith('x') }}|{{ 'a-b'.replace('-', '+') }}|{{ ' x '.lstrip() }}|{{ ' x '.rstrip() }}|{{ 'ab cd'.title() }}|{{ 'xaax'.strip('x') }}",
    "filters": "{{ messages | map(attribute='role') | join(', ') }}|{{ messages | selectattr('role', 'equalto', 'user') | list | length }}|{{ messages | rejectattr('role', 'in', ['user']) | list | length }}|{{ '  x ' | trim }}|{{ [3,1,2] | sort | join }}|{{ 'a' | upper }}|{{ [1,2] | first }}{{ [1,2] | last }}|{{ nothing | default('d') }}|{{ 'abc' | length }}|{{ '1' | int + 1 }}|{{ 'a b' | capitalize }}|{{ {'a': 1} | items | list | length }}|{{ 'x' | string }}",
    "tests": "{{ messages is iterable }}{{ messages[0] is mapping }}{{ 'x' is string }}{{ 1 is number }}{{ none is none }}{{ nothing is defined }}{{ nothing is undefined }}{{ 2 is even }}{{ 3 is odd }}{{ true is boolean }}{{ tools is defined }}{{ tools is none }}",
    "operators": "{{ 1 + 2 * 3 }}|{{ 7 // 2 }}|{{ 7 % 4 }}|{{ 'a' ~ 1 ~ 'b' }}|{{ 'a' in 'cat' }}|{{ 'x' not in ['y'] }}|{{ 1 < 2 and not false or x }}|{{ 'y' if 1 > 2 else 'n' }}|{{ 'z' if false }}|{{ 'a' * 3 }}|{{ [1] + [2] }}",
    "generation": EACH + "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}",
    "generation, stripped": EACH + "{%- if m.role == 'assistant' %}\n  {%- generation -%}\n  {{ m.content }}\n  {%- endgeneration %}\n{%- endif %}{%- endfor %}",
    "special tokens": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ missing_token }}",
    "add_generation_prompt": EACH + "{{ m.role }};{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}",
    "raise_exception": "{{ raise_exception('Only ' + messages[0].role + ' here!') }}",
    "escapes": "{{ 'tab\\tnew\\nquote\\'s \"d\" \\\\ \\u00e9' }}{{ \"it's\" }}",
    "dict access": "{{ messages[0]['missing'] }}{{ messages[0].get('role') }}{{ messages[0].get('x', 'fallback') }}{% for k, v in messages[0].items() %}{{ k }}={{ v }};{% endfor %}{{ 'role' in messages[0] }}",
    "set block": "{% set text %}a {{ messages[0].role }} b{% endset %}{{ text | upper }}",
    "filter block": "{% filter upper %}abc {{ messages[0].role }}{% endfilter %}",
    "call block": "{% macro wrap() %}[{{ caller() }}]{% endmacro %}{% call wrap() %}in{% endcall %}",
    "range and unpacking": "{% for i in range(3) %}{{ i }}{% endfor %}{% for a, b in [[1, 2], [3, 4]] %}{{ a }}-{{ b }} {% endfor %}{% set a, b = 5, 6 %}{{ a + b }}",
    "undefined in sum": "{{ 'a' + nothing }}",
    "python bools printed": "{{ true }}{{ false }}{{ none }}{{ 1.0 }}{{ 10 / 4 }}{{ [1, 'a', none, true] }}{{ {'a': 'b'} }}",
    "content as list": EACH + "{{ m.role }}:{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{% if p.type == 'image' %}<image>{% elif p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}{% endif %}\n{% endfor %}",
    "nested conditions": EACH + "{% if m.role == 'user' %}U{% elif m.role == 'system' %}S{% else %}A{% endif %}{{- ' ' if not loop.last else '' }}{% endfor %}",
    "endings": "a\n\n",
    "crlf": "a\r\n{% if true %}\r\nb{% endif %}\r\n",
}
VARIABLES = {"bos_token": "<s>", "eos_token": "</s>"}
rows = []
for name, template in TEMPLATES.items():
    for messages in (LIST, PARTS):
        if messages is PARTS and name != "content as list":
            continue
        row = {"name": name, "template": template, "messages": messages, "variables": VARIABLES}
        try:
            row["rendered"] = _compile_jinja_template(template).render(messages=messages, tools=None, documents=None, add_generation_prompt=True, **VARIABLES)
        except Exception as error:
            row["error"] = f"{type(error).__name__}: {error}"
        rows.append(row)
target = ROOT / "packages/text/src/__vectors__/jinja.json"
target.write_text(json.dumps({"versions": {"transformers": transformers.__version__, "jinja2": jinja2.__version__}, "rows": rows}, indent=1) + "\n")
print(len(rows), [r["name"] for r in rows if "error" in r])
