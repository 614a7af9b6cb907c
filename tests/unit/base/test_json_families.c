// Texts by families: each is made of parts, or by changing one place of a good text, and whether it
// is taken follows from how it was made: RFC 8259, and what we refuse beyond it (a scalar alone, a
// key twice, a lone surrogate, NUL, a number out of range, depth).
#include "base/check.h"
#include "base/json.h"
#include "base/own.h"
#include "base/text.h"
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(list) (sizeof(list) / sizeof *(list))

static int taken_n, refused_n;

static int begin(void **state) {
    (void)state;
    taken_n = refused_n = 0;
    return 0;
}

static int end(void **state) {
    (void)state;
    print_message("%d taken, %d refused\n", taken_n, refused_n);
    return 0;
}

static void is_bytes(const char *s, size_t len, bool wanted) {
    struct err err = ERR_INIT;
    auto_json json_t *j = json_read(s, len, 1 << 20, "it", &err);
    if ((j != NULL) != wanted)
        fail_msg("%s: %.*s (%zu bytes) %s", j ? "taken" : "refused", (int)len, s, len, err.text);
    *(j ? &taken_n : &refused_n) += 1;
    if (!j) {
        assert_true(err.kind == ERR_USER || err.kind == ERR_LIMIT);
        return;
    }
    auto_free char *again = json_write(j);
    auto_json json_t *same = json_read(again, strlen(again), 1 << 20, "again", &err);
    assert_true(json_equal(j, same));
}

__attribute__((format(printf, 2, 3))) static void is(bool wanted, const char *format, ...) {
    va_list args;
    auto_free char *s = NULL;
    va_start(args, format);
    int len = vasprintf(&s, format, args);
    va_end(args);
    assert_true(len >= 0);
    is_bytes(s, (size_t)len, wanted);
}

// ---- numbers ----

struct part {
    const char *s;
    bool good;
};

static void numbers_of_all_shapes(void **state) {
    (void)state;
    static const struct part sign[] = {{"", 1}, {"-", 1}, {"+", 0}, {"--", 0}, {"- ", 0}},
                             whole[] = {{"0", 1},  {"7", 1},   {"120", 1}, {"", 0},   {"00", 0},
                                        {"07", 0}, {"0x7", 0}, {"1_0", 0}, {"1 2", 0}},
                             fraction[] = {{"", 1},     {".0", 1},  {".25", 1}, {".", 0},
                                           {".2.5", 0}, {".-1", 0}, {". 5", 0}},
                             power[] = {{"", 1},    {"e1", 1},   {"E+02", 1}, {"e-3", 1},
                                        {"e", 0},   {"E+", 0},   {"e-", 0},   {"ee1", 0},
                                        {"e.1", 0}, {"e1.5", 0}, {"p1", 0},   {"f", 0}};
    for (size_t a = 0; a < COUNT(sign); a++)
        for (size_t b = 0; b < COUNT(whole); b++)
            for (size_t c = 0; c < COUNT(fraction); c++)
                for (size_t d = 0; d < COUNT(power); d++) {
                    bool good = sign[a].good && whole[b].good && fraction[c].good && power[d].good;
                    auto_free char *n = xasprintf("%s%s%s%s", sign[a].s, whole[b].s, fraction[c].s,
                                                  power[d].s);
                    is(good || !*n, "[%s]", n); // nothing at all is an empty list
                    is(good, "{\"a\":%s}", n);
                    is(good, "[0,%s,0]", n);
                }
}

static void numbers_out_of_range(void **state) {
    (void)state;
    auto_text struct text nines = {0};
    for (size_t n = 1; n <= 400; n++) {
        text_addc(&nines, '9');
        is(n < 19, "[%s]", nines.s);
        is(n < 19, "[-%s]", nines.s);
        is(n < 309, "[%s.0]", nines.s);
        is(n < 309, "[1e%zu]", n);
        is(true, "[1e-%zu]", n); // too small is zero
        is(true, "[0.%s]", nines.s);
    }
    is(true, "[9223372036854775807,-9223372036854775808]");
    is(false, "[9223372036854775808]");
    is(false, "[-9223372036854775809]");
}

static void words_that_are_none(void **state) {
    (void)state;
    static const char *const words[] = {"true", "false", "null"};
    static const char *const others[] = {
        "NaN",  "nan",  "NAN",       "-NaN", "Infinity", "-Infinity", "+Infinity", "inf", "-inf",
        "INF",  "nil",  "undefined", "None", "yes",      "no",        "on",        "off", "t",
        "TRUE", "True", "NULL",      "Null", "'a'",      "`a`",       "new",       "a",   "1a",
        "$",    "@",    "#",         "\\n",  "<a>",      "0b1",       "0o7",       "&",   "\\u0031",
    };
    for (size_t i = 0; i < COUNT(words); i++) {
        size_t len = strlen(words[i]);
        is(true, "[%s]", words[i]);
        is(true, "{\"a\":%s}", words[i]);
        is(false, "%s", words[i]);
        is(false, "{%s:1}", words[i]);
        for (size_t k = 0; k < len; k++) {
            is(false, "[%.*s]", (int)k + 1 < (int)len ? (int)k + 1 : 1, words[i]);
            is(false, "[%.*s%s]", (int)k, words[i], words[i] + k + 1);
            is(false, "[%.*s%c%s]", (int)k, words[i], toupper(words[i][k]), words[i] + k + 1);
            is(false, "[%.*s%c%s]", (int)k + 1, words[i], words[i][k], words[i] + k + 1);
            is(false, "[%.*s %s]", (int)k + 1, words[i], k + 1 < len ? words[i] + k + 1 : "x");
        }
    }
    for (size_t i = 0; i < COUNT(others); i++) {
        is(false, "[%s]", others[i]);
        is(false, "[1,%s]", others[i]);
        is(false, "{\"a\":%s}", others[i]);
        is(false, "{%s:1}", others[i]);
        is(false, "%s", others[i]);
        is(false, "[]%s", others[i]);
        is(false, "%s[]", others[i]);
    }
}

// ---- strings ----

static void each_byte_in_a_string(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++) {
        bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
        const char in_value[] = {'[', '"', 'a', (char)c, 'z', '"', ']'},
                   in_key[] = {'{', '"', (char)c, '"', ':', '1', '}'},
                   escaped[] = {'[', '"', '\\', (char)c, '"', ']'};
        is_bytes(in_value, sizeof in_value, plain);
        is_bytes(in_key, sizeof in_key, plain);
        is_bytes(escaped, sizeof escaped, c && strchr("\"\\/bfnrt", c));
    }
}

static void numbers_of_characters(void **state) {
    (void)state;
    static const char wrong[] = "gGxX -+.\"\\u\x7f";
    static const char *const singles[] = {"0001", "0020", "007f", "0080", "00E9", "00e9", "d7ff",
                                          "E000", "fdd0", "FFFE", "ffff", "2028", "feff", "200B"};
    static const char *const high[] = {"d800", "D834", "dbff"}, *const low[] = {"dc00", "DD1E",
                                                                                "dfff"};
    static const char *const behind[] = {"", "a", "\\n", "\\u0041", "\\ud7ff", "\\ue000", "\\\\"};
    for (size_t i = 0; i < COUNT(singles); i++) {
        is(true, "[\"\\u%s\"]", singles[i]);
        is(true, "{\"\\u%s\":1}", singles[i]);
        for (int k = 0; k < 4; k++) {
            is(false, "[\"\\u%.*s\"]", k, singles[i]);
            for (const char *w = wrong; *w; w++)
                is(false, "[\"\\u%.*s%c%s\"]", k, singles[i], *w, singles[i] + k + 1);
        }
        is(false, "[\"\\U%s\"]", singles[i]);
    }
    for (size_t h = 0; h < COUNT(high); h++) {
        for (size_t l = 0; l < COUNT(low); l++) {
            is(true, "[\"\\u%s\\u%s\"]", high[h], low[l]);
            is(false, "[\"\\u%s\\u%s\"]", low[l], high[h]);
            is(false, "[\"\\u%s \\u%s\"]", high[h], low[l]);
            is(false, "[\"\\u%s\\u%s\\u%s\"]", high[h], low[l], low[l]);
        }
        for (size_t i = 0; i < COUNT(behind); i++) {
            is(false, "[\"\\u%s%s\"]", high[h], behind[i]);
            is(false, "[\"\\u%s%s\"]", low[h], behind[i]);
            is(false, "{\"\\u%s%s\":1}", high[h], behind[i]);
        }
        for (size_t i = 0; i < COUNT(high); i++)
            is(false, "[\"\\u%s\\u%s\"]", high[h], high[i]);
    }
    is(false, "[\"\\u0000\"]");
    is(false, "{\"a\\u0000\":1}");
}

// ---- UTF-8 ----

// In that many bytes, be it too many.
static size_t encode(uint32_t c, size_t n, char ret[6]) {
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0, 0xf8, 0xfc};
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        ret[i] = (char)(0x80 | (c & 0x3f));
    ret[0] = (char)(lead[n] | c);
    return n;
}

static void is_in_strings(const char *s, size_t len, bool wanted) {
    is(wanted, "[\"%.*s\"]", (int)len, s);
    is(wanted, "[\"a%.*sz\"]", (int)len, s);
    is(wanted, "{\"%.*s\":1}", (int)len, s);
    is(false, "[%.*s]", (int)len, s);
    is(false, "%.*s[]", (int)len, s);
    is(false, "[]%.*s", (int)len, s);
}

static void characters_of_all_lengths(void **state) {
    (void)state;
    static const uint32_t good[] = {0x80,   0x7ff,  0x800,   0xd7ff,  0xe000,  0xfdd0,  0xfeff,
                                    0xfffd, 0xfffe, 0x10000, 0x1d11e, 0x3ffff, 0x40000, 0x10ffff},
                          bad[] = {0xd800, 0xdb7f, 0xdbff, 0xdc00, 0xdfff, 0x110000, 0x1fffff};
    char s[6];
    for (size_t i = 0; i < COUNT(good); i++) {
        size_t n = good[i] < 0x800 ? 2 : good[i] < 0x10000 ? 3 : 4;
        encode(good[i], n, s);
        is_in_strings(s, n, true);
        for (size_t k = 1; k < n; k++) {
            is_in_strings(s, k, false);         // cut short
            is_in_strings(s + k, n - k, false); // its end alone
            static const char instead[] = "(\x7f\xc0\xff";
            for (const char *c = instead; *c; c++) {
                char changed[6];
                memcpy(changed, s, n);
                changed[k] = *c;
                is_in_strings(changed, n, false);
            }
        }
        for (size_t more = n + 1; more <= 6; more++)
            is_in_strings(s, encode(good[i], more, s), false);
    }
    for (uint32_t c = 0; c < 0x80; c += 7) // and those of one byte in more
        for (size_t more = 2; more <= 6; more++)
            is_in_strings(s, encode(c, more, s), false);
    for (size_t i = 0; i < COUNT(bad); i++)
        is_in_strings(s, encode(bad[i], bad[i] < 0x10000 ? 3 : 4, s), false);
    for (int c = 0xf5; c < 0x100; c++) {
        const char alone[] = {(char)c, '\x80', '\x80', '\x80', '\x80', '\x80'};
        for (size_t n = 1; n <= sizeof alone; n++)
            is_in_strings(alone, n, false);
    }
}

static void other_encodings(void **state) {
    (void)state;
    static const char *const texts[] = {"[]", "{}", "[\"a\"]", "{\"a\":1}"};
    static const char mark[] = {'\xef', '\xbb', '\xbf'};
    for (size_t i = 0; i < COUNT(texts); i++)
        for (int width = 2; width <= 4; width += 2)
            for (int big = 0; big < 2; big++)
                for (int marked = 0; marked < 2; marked++) {
                    auto_text struct text t = {0};
                    size_t n = strlen(texts[i]);
                    for (size_t k = 0; k < n + (size_t)marked; k++)
                        for (int at = 0; at < width; at++) {
                            int place = big ? width - 1 - at : at;
                            bool bom = marked && k == 0;
                            unsigned c = bom ? 0xfeff : (unsigned)texts[i][k - (size_t)marked];
                            text_addc(&t, (char)(place < 2 ? c >> 8 * place : 0));
                        }
                    is_bytes(t.s, t.len, false);
                }
    for (size_t i = 0; i < COUNT(texts); i++)
        for (size_t n = 1; n <= sizeof mark; n++)
            is(false, "%.*s%s", (int)n, mark, texts[i]);
}

// ---- structure ----

static const char *const tokens[] = {"{", "}", "[", "]", ",", ":", "\"a\"", "1"};
enum { OPEN, CLOSE, BEGIN, END, COMMA, COLON, STRING, NUMBER, TOKENS, TOKENS_MAX = 6 };

struct row {
    int t[TOKENS_MAX];
    int n, at;
};

static bool next_is(struct row *row, int token) {
    bool yes = row->at < row->n && row->t[row->at] == token;
    row->at += yes;
    return yes;
}

// The grammar as the RFC writes it, over tokens.
static bool is_value(struct row *row) { // NOLINT(misc-no-recursion)
    if (next_is(row, STRING) || next_is(row, NUMBER))
        return true;
    bool object = next_is(row, OPEN);
    if (!object && !next_is(row, BEGIN))
        return false;
    if (next_is(row, object ? CLOSE : END))
        return true;
    do {
        if (object && !(next_is(row, STRING) && next_is(row, COLON)))
            return false;
        if (!is_value(row))
            return false;
    } while (next_is(row, COMMA));
    return next_is(row, object ? CLOSE : END);
}

static void every_row_of_six_tokens(void **state) {
    (void)state;
    int all = 1;
    for (int n = 1; n <= TOKENS_MAX; n++) {
        all *= TOKENS;
        for (int number = 0; number < all; number++) {
            struct row row = {.n = n};
            char s[TOKENS_MAX * 4 + 1] = "";
            for (int i = 0, rest = number; i < n; i++, rest /= TOKENS) {
                row.t[i] = rest % TOKENS;
                strcat(s, tokens[row.t[i]]);
                // Two numbers side by side are one, but for a space.
                if (i && row.t[i] == NUMBER && row.t[i - 1] == NUMBER)
                    strcpy(s + strlen(s) - 1, " 1");
            }
            bool good = is_value(&row) && row.at == n && (row.t[0] == OPEN || row.t[0] == BEGIN);
            is_bytes(s, strlen(s), good);
        }
    }
}

static void each_byte_as_a_space(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++) {
        bool space = c && strchr(" \t\n\r", c);
        char b = (char)c;
        const char before[] = {b, '[', ']'}, within[] = {'[', b, ']'}, behind[] = {'[', ']', b},
                   colon[] = {'{', '"', '"', b, ':', '1', '}'},
                   comma[] = {'[', '[', ']', b, ',', '1', ']'};
        is_bytes(before, sizeof before, space);
        is_bytes(within, sizeof within, space || isdigit(c));
        is_bytes(behind, sizeof behind, space);
        is_bytes(colon, sizeof colon, space);
        is_bytes(comma, sizeof comma, space);
    }
}

static void nesting(void **state) {
    (void)state;
    static const char *const open[] = {"[", "{\"a\":", "[0,", "{\"b\":0,\"a\":"}, *const close[] = {
                                                                                      "]", "}",
                                                                                      ",0]",
                                                                                      ",\"c\":[]}"};
    for (size_t depth = 1; depth <= 40; depth++)
        for (size_t shape = 0; shape < 5; shape++) {
            auto_text struct text t = {0};
            for (size_t i = 0; i < depth; i++)
                text_add(&t, open[shape < 4 ? shape : i % 4]);
            text_add(&t, "1");
            is_bytes(t.s, t.len, false);
            for (size_t i = depth; i-- > 0;) {
                is_bytes(t.s, t.len, false);
                text_add(&t, close[shape < 4 ? shape : i % 4]);
            }
            // What closes with a list within is one deeper.
            bool deeper = depth == 32 && (shape == 3 || (shape == 4 && (depth - 1) % 4 == 3));
            is_bytes(t.s, t.len, depth <= 32 && !deeper);
            text_add(&t, "]");
            is_bytes(t.s, t.len, false);
        }
}

static void keys_that_come_twice(void **state) {
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } keys[] = {
        {"", "", 1},
        {"a", "a", 1},
        {"a", "\\u0061", 1},
        {"/", "\\/", 1},
        {"\\n", "\\u000a", 1},
        {"\xc3\xa9", "\\u00e9", 1},
        {"\\\"", "\\u0022", 1},
        {"\\u00E9", "\\u00e9", 1},
        {"\\ud834\\udd1e", "\xf0\x9d\x84\x9e", 1},
        {"a", "A", 0},
        {"a", "a ", 0},
        {"", " ", 0},
        {"a", "\xce\xb1", 0},
        {"\xc3\xa9", "e\xcc\x81", 0},
        {"1", "01", 0},
    };
    for (size_t i = 0; i < COUNT(keys); i++) {
        const char *a = keys[i].a, *b = keys[i].b;
        bool good = !keys[i].same;
        is(good, "{\"%s\":1,\"%s\":1}", a, b);
        is(good, "{\"%s\":1,\"%s\":1}", b, a);
        is(good, "{\"%s\":1,\"x\":2,\"y\":3,\"%s\":null}", a, b);
        is(good, "[{\"%s\":[],\"%s\":{}}]", a, b);
        is(good, "{\"x\":{\"x\":[0,{\"%s\":1,\"%s\":1}]}}", a, b);
        is(true, "{\"%s\":{\"%s\":1}}", a, b);
        is(true, "[{\"%s\":1},{\"%s\":1}]", a, b);
    }
}

// ---- one place of a good text ----

static void a_text_with_one_place_changed(void **state) {
    (void)state;
    static const char good[] =
        "{\"k\":[10,-2.5e3,\"a\\u00e4\\n\xc3\xa4\",true,false,null,{\"x\":{}}]}";
    static const char *const garbage[] = {"x",           "1",
                                          "\"\"",        ",",
                                          "{}",          "[]",
                                          "]",           "}",
                                          ":",           "//",
                                          "/**/",        "#",
                                          "\\",          "--",
                                          "\"",          "\x01x",
                                          "\x7f",        "\xff",
                                          "\f",          "\v",
                                          ";",           "\b",
                                          "null",        "<!-- -->",
                                          "\xc2\xa0",    "\xe2\x80\xa8",
                                          "\xef\xbb\xbf"};
    const size_t len = sizeof good - 1;
    is(true, "%s", good);
    for (size_t i = 0; i < len; i++) {
        is(false, "%.*s", (int)i, good);
        if (i)
            is(false, "%s", good + i);
        static const char instead[] = {'\0', '\x01', '\x1f', '\xff', '\xc0'};
        for (size_t k = 0; k < sizeof instead; k++) {
            char changed[sizeof good];
            memcpy(changed, good, sizeof good);
            changed[i] = instead[k];
            is_bytes(changed, len, false);
        }
    }
    for (size_t i = 0; i < COUNT(garbage); i++) {
        is(false, "%s%s", good, garbage[i]);
        is(false, "%s %s", good, garbage[i]);
        is(false, "%s\n%s\n", good, garbage[i]);
        is(false, "%s%s", garbage[i], good);
        is(false, "[%s %s]", good, garbage[i]);
    }
}

#define FAMILY(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        FAMILY(numbers_of_all_shapes), FAMILY(numbers_out_of_range),
        FAMILY(words_that_are_none),   FAMILY(each_byte_in_a_string),
        FAMILY(numbers_of_characters), FAMILY(characters_of_all_lengths),
        FAMILY(other_encodings),       FAMILY(every_row_of_six_tokens),
        FAMILY(each_byte_as_a_space),  FAMILY(nesting),
        FAMILY(keys_that_come_twice),  FAMILY(a_text_with_one_place_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
