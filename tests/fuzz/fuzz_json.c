// The reader of all JSON that others wrote: what it takes is what it writes, read again; what it
// refuses is said in one line without control characters.
#include "base/check.h"
#include "base/json.h"
#include "base/own.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX = 1 << 20 };

static int depth_of(const json_t *j) {
    int deepest = 0;
    size_t i;
    const char *key;
    json_t *value;
    if (json_is_array(j))
        json_array_foreach(j, i, value) {
            int d = depth_of(value);
            deepest = d > deepest ? d : deepest;
        }
    else if (json_is_object(j))
        json_object_foreach((json_t *)j, key, value) {
            int d = depth_of(value);
            deepest = d > deepest ? d : deepest;
        }
    else
        return 0;
    return deepest + 1;
}

static void check_members(const json_t *j) {
    static const char *const keys[] = {"ip", "seq", "a", ""};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char *s = "kept";
        int64_t n = 77;
        bool flag = true;
        struct err err = ERR_INIT;
        if (json_str(j, keys[i], &s, &err))
            CHECK(err.kind == ERR_USER && strcmp(s, "kept") == 0);
        if (json_int(j, keys[i], &n, &err))
            CHECK(err.kind == ERR_USER && n == 77);
        if (json_flag(j, keys[i], &flag, &err))
            CHECK(err.kind == ERR_USER && flag);
        CHECK(json_text(j, keys[i]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err err = ERR_INIT;
    auto_json json_t *j = json_read((const char *)data, size, MAX, "it", &err);
    if (!j) {
        CHECK(err.kind == ERR_USER || err.kind == ERR_LIMIT);
        for (const char *c = err.text; *c; c++)
            CHECK((unsigned char)*c >= 0x20 && *c != 0x7f);
        return 0;
    }
    CHECK(err.kind == ERR_NONE && (json_is_object(j) || json_is_array(j)));
    CHECK(depth_of(j) <= 32 && !memchr(data, '\0', size));
    check_members(j);
    auto_free char *written = json_write(j), *canonical = json_canonical(j);
    auto_json json_t *again = json_read(written, strlen(written), 8 * MAX, "it", &err);
    auto_json json_t *sorted = json_read(canonical, strlen(canonical), 8 * MAX, "it", &err);
    auto_free char *canonical_again = json_canonical(again);
    CHECK(json_equal(j, again) && json_equal(j, sorted));
    CHECK(strcmp(canonical, canonical_again) == 0);
    return 0;
}
