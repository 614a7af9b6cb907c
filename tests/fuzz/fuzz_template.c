// What anybody may write into a template: cutting, compiling, and running where it can be foretold
// that running ends soon (a loop or a pattern may take what it is given, which is seconds).
#include "base/check.h"
#include "base/own.h"
#include "sidecar/render/template.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char scope_text[] =
    "{\"pods\": [{\"ip\": \"10.0.0.1\", \"ordinal\": 1, \"ports\": {\"2181\": 31000}}, {\"ip\": "
    "\"10.0.0.2\", \"ordinal\": 2, \"ports\": {}}], \"self\": {\"ip\": \"10.0.0.1\", \"ports\": "
    "{\"80\": 31080}}, \"size\": 2, \"dependencies\": {\"kafka\": [{\"ip\": \"fd00::1\", "
    "\"ports\": {}}]}, \"env\": {\"A\": \"b\"}, \"settings\": {\"tick\": 2.5, \"x\": null}}";

static bool may_take_long(const char *text) {
    static const char *const words[] = {"while", "repeat", "goto",  "function", "rep",
                                        "=",     "unpack", "move",  "gsub",     "find",
                                        "match", "format", "concat"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(text, words[i]))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static json_t *scope;
    if (!scope)
        scope = json_read(scope_text, sizeof scope_text - 1, sizeof scope_text, "scope", NULL);
    auto_free char *text = xstrndup((const char *)data, size);
    struct err err = ERR_INIT;
    auto_text struct text out = {0};
    int checked = template_check("fuzz", text, &err);
    CHECK(!checked || (err.kind == ERR_USER && text_starts(err.text, "fuzz:")));
    if (may_take_long(text))
        return 0;
    err = (struct err)ERR_INIT;
    int rendered = template_render("fuzz", text, scope, &out, &err);
    CHECK(!checked || rendered);
    CHECK(!rendered || (err.text[0] && !out.len));
    CHECK(out.len <= TEMPLATE_OUTPUT_MAX);
    return 0;
}
