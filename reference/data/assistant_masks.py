"""What transformers calls the assistant's tokens, for `chatEncoder`: packages/data/src/encode/__vectors__/assistant-masks.json.

    python reference/data/assistant_masks.py

The templates mark answers with {% generation %}; `chatEncoder` finds them without the marks, so it renders the same
templates with the marks taken out. Pictures are the token `<image>`, once each.
"""
import json
from pathlib import Path

import transformers

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = {
    # Vicuna's form: a space between turns, </s> behind an answer.
    "vicuna": "{{ bos_token }}A chat. {% for m in messages %}{% if m['role'] == 'user' %}USER: {{ m['content'] }} "
    "{% else %}ASSISTANT:{% generation %} {{ m['content'] }}</s>{% endgeneration %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}",
    # ChatML: the line break behind the end of a turn is nobody's target.
    "chatml": "{{ bos_token }}{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' }}{% if m['role'] == 'assistant' %}"
    "{% generation %}{{ m['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}{% else %}"
    "{{ m['content'] + '<|im_end|>\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
}
CONVERSATIONS = [
    [("user", "What is in the picture?"), ("assistant", "A cat on a sofa.")],
    [("user", "<image>\nWhat color?"), ("assistant", "It is brown.\nAnd white."), ("user", "Sure?"), ("assistant", "Yes, 100 %!")],
    [("user", "Hello"), ("assistant", "  Hi,  there ")],
    [("user", "Wo?"), ("assistant", "Über dem Zaun 🐝."), ("user", "<image>\nUnd hier?"), ("assistant", "1 Igel")],
]


def main():
    tokenizer = transformers.AutoTokenizer.from_pretrained(ROOT / "golden/llava-tiny-hf")
    rows = []
    for name, template in TEMPLATES.items():
        for turns in CONVERSATIONS:
            messages = [{"role": role, "content": content} for role, content in turns]
            out = tokenizer.apply_chat_template(
                messages, chat_template=template, tokenize=True, return_dict=True, return_assistant_tokens_mask=True, add_special_tokens=False
            )
            rows.append({"template": name, "messages": messages, "ids": out["input_ids"], "mask": out["assistant_masks"]})
    plain = {name: text.replace("{% generation %}", "").replace("{% endgeneration %}", "") for name, text in TEMPLATES.items()}
    target = ROOT / "packages/data/src/encode/__vectors__/assistant-masks.json"
    target.write_text(json.dumps({"transformers": transformers.__version__, "templates": plain, "rows": rows}, ensure_ascii=False) + "\n")


main()
