// Requests that two servers on the way might cut differently, or take for another one: each class
// is a row of raw bytes. All are refused, and the connection ends, so that what stands behind is
// never taken for a request. What is odd and harmless stands in a table of its own.
#include "tests/unit/sidecar/control/harness.h"

#define LINE    "POST /control/off HTTP/1.1\r\nHost: x\r\n"
#define CL0     "Content-Length: 0\r\n"
#define R(text) text, sizeof(text) - 1

struct row {
    const char *what, *bytes;
    size_t len;
    int status; // -1: any refusal, or closed without an answer
};

static const struct row length_rows[] = {
    {"two lengths", R(LINE CL0 "Content-Length: 5\r\n\r\n"), 400},
    {"two lengths, the other order", R(LINE "Content-Length: 5\r\n" CL0 "\r\n"), 400},
    {"equal lengths", R(LINE CL0 CL0 "\r\n"), 400},
    {"equal lengths, one in lower case", R(LINE CL0 "content-length: 0\r\n\r\n"), 400},
    {"list", R(LINE "Content-Length: 0, 0\r\n\r\n"), -1},
    {"list of different ones", R(LINE "Content-Length: 0,5\r\n\r\n"), -1},
    {"plus", R(LINE "Content-Length: +0\r\n\r\n"), -1},
    {"minus", R(LINE "Content-Length: -1\r\n\r\n"), -1},
    {"minus nothing", R(LINE "Content-Length: -0\r\n\r\n"), -1},
    {"hexadecimal", R(LINE "Content-Length: 0x0\r\n\r\n"), -1},
    {"octal", R(LINE "Content-Length: 0o0\r\n\r\n"), -1},
    {"leading zero", R(LINE "Content-Length: 05\r\n\r\n"), 400},
    {"underscore", R(LINE "Content-Length: 0_0\r\n\r\n"), -1},
    {"fraction", R(LINE "Content-Length: 0.0\r\n\r\n"), -1},
    {"exponent", R(LINE "Content-Length: 0e0\r\n\r\n"), -1},
    {"two words", R(LINE "Content-Length: 0 5\r\n\r\n"), -1},
    {"blank behind", R(LINE "Content-Length: 0 \r\n\r\n"), -1},
    {"tab behind", R(LINE "Content-Length: 0\t\r\n\r\n"), -1},
    {"vertical tab before", R(LINE "Content-Length: \v0\r\n\r\n"), -1},
    {"form feed behind", R(LINE "Content-Length: 0\f\r\n\r\n"), -1},
    {"quoted", R(LINE "Content-Length: \"0\"\r\n\r\n"), -1},
    {"parameter", R(LINE "Content-Length: 0;a=b\r\n\r\n"), -1},
    {"digits of another script", R(LINE "Content-Length: \xef\xbc\x90\r\n\r\n"), -1},
    {"over 64 bits", R(LINE "Content-Length: 99999999999999999999999\r\n\r\n"), -1},
    {"2^64", R(LINE "Content-Length: 18446744073709551616\r\n\r\n"), -1},
    {"2^64 - 1", R(LINE "Content-Length: 18446744073709551615\r\n\r\n"), -1},
    {"2^63", R(LINE "Content-Length: 9223372036854775808\r\n\r\n"), -1},
    {"2^32 wraps to nothing", R(LINE "Content-Length: 4294967296\r\n\r\n"), 413},
    {"empty", R(LINE "Content-Length:\r\n\r\n"), -1},
    {"blank before the colon", R(LINE "Content-Length : 0\r\n\r\n"), -1},
    {"tab before the colon", R(LINE "Content-Length\t: 0\r\n\r\n"), -1},
    {"wide blank", R(LINE "Content-Length:                                       0\r\n\r\n"), 400},
    {"folded", R(LINE "Content-Length: 0\r\n 5\r\n\r\n"), 400},
    {"folded before it begins", R(LINE "Content-Length:\r\n 0\r\n\r\n"), -1},
    {"NUL in it", R(LINE "Content-Length: 0\0005\r\n\r\n"), -1},
    {"CR in it", R(LINE "Content-Length: 0\r5\r\n\r\n"), -1},
    {"hidden behind a bare CR", R(LINE "X-A: b\rContent-Length: 5\r\n\r\n"), -1},
    {"hidden behind a bare LF", R(LINE "X-A: b\nContent-Length: 0\r\n\r\n"), 400},
};

static const struct row coding_rows[] = {
    {"chunked", R(LINE "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 411},
    {"chunked in capitals", R(LINE "TRANSFER-ENCODING: CHUNKED\r\n\r\n0\r\n\r\n"), 411},
    {"length, then chunked",
     R(LINE "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
    {"chunked, then length",
     R(LINE "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"), 400},
    {"identity", R(LINE "Transfer-Encoding: identity\r\n\r\n"), 411},
    {"identity and length", R(LINE "Transfer-Encoding: identity\r\n" CL0 "\r\n"), 400},
    {"no coding that exists", R(LINE "Transfer-Encoding: xchunked\r\n" CL0 "\r\n"), 400},
    {"chunked twice", R(LINE "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
     411},
    {"chunked and identity",
     R(LINE "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n" CL0 "\r\n"), 400},
    {"chunked not last", R(LINE "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"), 411},
    {"gzip, chunked", R(LINE "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 411},
    {"comma behind", R(LINE "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"), 411},
    {"comma before", R(LINE "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"), 411},
    {"parameter", R(LINE "Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n"), 411},
    {"quoted", R(LINE "Transfer-Encoding: \"chunked\"\r\n" CL0 "\r\n"), 400},
    {"empty", R(LINE "Transfer-Encoding:\r\n" CL0 "\r\n"), 400},
    {"tab before the value", R(LINE "Transfer-Encoding:\tchunked\r\n" CL0 "\r\n"), 400},
    {"vertical tab before the value", R(LINE "Transfer-Encoding: \vchunked\r\n" CL0 "\r\n"), 400},
    {"blank behind", R(LINE "Transfer-Encoding: chunked \r\n" CL0 "\r\n"), 400},
    {"blank before the colon", R(LINE "Transfer-Encoding : chunked\r\n" CL0 "\r\n"), -1},
    {"blank before the name", R(LINE " Transfer-Encoding: chunked\r\n" CL0 "\r\n"), -1},
    {"folded", R(LINE "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"), 400},
    {"folded onto another", R(LINE "X-A: b\r\n Transfer-Encoding: chunked\r\n" CL0 "\r\n"), 400},
    {"hidden behind a bare LF", R(LINE "X-A: b\nTransfer-Encoding: chunked\r\n" CL0 "\r\n"), 400},
    {"hidden behind a bare CR", R(LINE "X-A: b\rTransfer-Encoding: chunked\r\n" CL0 "\r\n"), 400},
    {"NUL in its name", R(LINE "Transfer-\0Encoding: chunked\r\n" CL0 "\r\n"), -1},
    {"control character in its name", R(LINE "Transfer-Encoding\x01: chunked\r\n" CL0 "\r\n"), 400},
    {"8 bits in its name", R(LINE "Transfer-Encoding\xa0: chunked\r\n" CL0 "\r\n"), 400},
    {"HTTP/1.0", R("POST /control/off HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     411},
    {"HTTP/1.0 with a length",
     R("POST /control/off HTTP/1.0\r\n" CL0 "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
    {"GET", R("GET /info HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 411},
    {"HEAD", R("HEAD /info HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     -1},
};

static const struct row header_rows[] = {
    {"folded", R(LINE "X-A: b\r\n c\r\n" CL0 "\r\n"), 400},
    {"folded by a tab", R(LINE "X-A: b\r\n\tc\r\n" CL0 "\r\n"), 400},
    {"folded by nothing", R(LINE "X-A: b\r\n \r\n" CL0 "\r\n"), 400},
    {"folded request line", R("POST /control/off HTTP/1.1\r\n X-A: b\r\nHost: x\r\n" CL0 "\r\n"),
     -1},
    {"no name", R(LINE ": v\r\n" CL0 "\r\n"), 400},
    {"no colon", R(LINE "garbage\r\n" CL0 "\r\n"), -1},
    {"blank in a name", R(LINE "X A: b\r\n" CL0 "\r\n"), -1},
    {"slash in a name", R(LINE "X/A: b\r\n" CL0 "\r\n"), 400},
    {"bracket in a name", R(LINE "X[A]: b\r\n" CL0 "\r\n"), 400},
    {"8 bits in a name", R(LINE "X-\xc3\xa4: b\r\n" CL0 "\r\n"), 400},
    {"control character in a value", R(LINE "X-A: b\x01\r\n" CL0 "\r\n"), 400},
    {"DEL in a value", R(LINE "X-A: b\x7f\r\n" CL0 "\r\n"), 400},
    {"escape in a value", R(LINE "X-A: \x1b[2J\r\n" CL0 "\r\n"), 400},
    {"bare CR in a value", R(LINE "X-A: b\rc\r\n" CL0 "\r\n"), -1},
    {"CR CR LF", R(LINE "X-A: b\r\r\n" CL0 "\r\n"), -1},
    {"bare LF all over", R("POST /control/off HTTP/1.1\nHost: x\nContent-Length: 0\n\n"), 400},
    {"bare LF behind the request line", R("POST /control/off HTTP/1.1\nHost: x\r\n" CL0 "\r\n"),
     400},
    {"bare LF behind one header", R("POST /control/off HTTP/1.1\r\nHost: x\n" CL0 "\r\n"), 400},
    {"bare LF as the empty line", R(LINE CL0 "\n"), 400},
    {"LF CR", R("POST /control/off HTTP/1.1\n\rHost: x\n\r" CL0 "\r\n"), -1},
    {"bare LF, made up for by a NUL",
     R(LINE "X-A: b\n"
            "X-B: c\0\r\n" CL0 "\r\n"),
     400},
    {"NUL that hides the rest", R(LINE "X-A: b\0c\r\n" CL0 "\r\n"), 400},
    {"NUL that hides a byte, made up for by a bare LF as the empty line",
     R(LINE CL0 "X-A: b\0c\n\n"), 400},
    {"NUL in place of an empty line", R(LINE CL0 "\0\r\n\r\n"), 400},
    {"no host", R("POST /control/off HTTP/1.1\r\n" CL0 "\r\n"), 400},
    {"two hosts", R(LINE "Host: y\r\n" CL0 "\r\n"), 400},
    {"equal hosts", R(LINE "Host: x\r\n" CL0 "\r\n"), 400},
    {"list of hosts", R("POST /control/off HTTP/1.1\r\nHost: x, y\r\n" CL0 "\r\n"), 400},
    {"host with a user", R("POST /control/off HTTP/1.1\r\nHost: a@x\r\n" CL0 "\r\n"), 400},
    {"host with a path", R("POST /control/off HTTP/1.1\r\nHost: x/y\r\n" CL0 "\r\n"), 400},
    {"host with a blank", R("POST /control/off HTTP/1.1\r\nHost: x y\r\n" CL0 "\r\n"), 400},
};

static const struct row line_rows[] = {
    {"HTTP/0.9", R("POST /control/off\r\n\r\n"), 400},
    {"HTTP/0.9 in full", R("POST /control/off HTTP/0.9\r\nHost: x\r\n" CL0 "\r\n"), 505},
    {"HTTP/1.2", R("POST /control/off HTTP/1.2\r\nHost: x\r\n" CL0 "\r\n"), 505},
    {"HTTP/1.9", R("POST /control/off HTTP/1.9\r\nHost: x\r\n" CL0 "\r\n"), 505},
    {"HTTP/1.10", R("POST /control/off HTTP/1.10\r\nHost: x\r\n" CL0 "\r\n"), 400},
    {"HTTP/01.1", R("POST /control/off HTTP/01.1\r\nHost: x\r\n" CL0 "\r\n"), 400},
    {"HTTP/1", R("POST /control/off HTTP/1\r\nHost: x\r\n" CL0 "\r\n"), 400},
    {"HTTP/+1.1", R("POST /control/off HTTP/+1.1\r\nHost: x\r\n" CL0 "\r\n"), 400},
    {"HTTP/2.0", R("POST /control/off HTTP/2.0\r\nHost: x\r\n" CL0 "\r\n"), 505},
    {"HTTP/9", R("POST /control/off HTTP/9\r\nHost: x\r\n" CL0 "\r\n"), 400},
    {"http/1.1", R("POST /control/off http/1.1\r\nHost: x\r\n" CL0 "\r\n"), 400},
    {"HTTPS/1.1", R("POST /control/off HTTPS/1.1\r\nHost: x\r\n" CL0 "\r\n"), 400},
    {"blank in the version", R("POST /control/off HTTP/ 1.1\r\nHost: x\r\n" CL0 "\r\n"), 400},
    {"preface of HTTP/2", R("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505},
    {"word behind the version", R("POST /control/off HTTP/1.1 x\r\nHost: x\r\n" CL0 "\r\n"), 400},
    {"blank behind the version", R("POST /control/off HTTP/1.1 \r\nHost: x\r\n" CL0 "\r\n"), 400},
    {"two blanks", R("POST  /control/off HTTP/1.1\r\nHost: x\r\n" CL0 "\r\n"), 400},
    {"two blanks, made up for by bare LFs, with zeros behind",
     R("POST   /control/off HTTP/1.0\n\n\0\0"), 400},
    {"a blank and a bare LF, with a zero behind",
     R("POST  /control/off HTTP/1.0\r\nHost: x\r\n\n\0"), 400},
    {"two blanks before the version", R("POST /control/off  HTTP/1.1\r\nHost: x\r\n" CL0 "\r\n"),
     -1},
    {"tabs", R("POST\t/control/off\tHTTP/1.1\r\nHost: x\r\n" CL0 "\r\n"), -1},
    {"blank before the method", R(" POST /control/off HTTP/1.1\r\nHost: x\r\n" CL0 "\r\n"), -1},
    {"NUL before the method", R("\0POST /control/off HTTP/1.1\r\nHost: x\r\n" CL0 "\r\n"), -1},
    {"NUL in the method", R("PO\0ST /control/off HTTP/1.1\r\nHost: x\r\n" CL0 "\r\n"), 400},
    {"NUL in the target", R("POST /control/o\0ff HTTP/1.1\r\nHost: x\r\n" CL0 "\r\n"), 400},
    {"NUL behind the version", R("POST /control/off HTTP/1.1\0\r\nHost: x\r\n" CL0 "\r\n"), 400},
    {"NUL LF behind the version", R("POST /control/off HTTP/1.1\0\nHost: x\r\n" CL0 "\r\n"), 400},
    {"bracketed method", R("(POST) /control/off HTTP/1.1\r\nHost: x\r\n" CL0 "\r\n"), 400},
    {"blank in the target", R("POST /control/off x HTTP/1.1\r\nHost: x\r\n" CL0 "\r\n"), -1},
    {"control character in the target",
     R("POST /control/off\x01 HTTP/1.1\r\nHost: x\r\n" CL0 "\r\n"), 400},
    {"8 bits in the target", R("POST /control/off\xff HTTP/1.1\r\nHost: x\r\n" CL0 "\r\n"), 400},
    {"bare CR in the target", R("POST /control/off\rx HTTP/1.1\r\nHost: x\r\n" CL0 "\r\n"), 400},
    {"no target", R("POST HTTP/1.1\r\nHost: x\r\n" CL0 "\r\n"), 400},
    {"TLS hello", R("\x16\x03\x01\x02\r\n\r\n"), -1},
};

static const struct {
    const char *what;
    const struct row *rows;
    size_t n;
} classes[] = {
    {"Content-Length", length_rows, sizeof(length_rows) / sizeof(*length_rows)},
    {"Transfer-Encoding", coding_rows, sizeof(coding_rows) / sizeof(*coding_rows)},
    {"header", header_rows, sizeof(header_rows) / sizeof(*header_rows)},
    {"request line", line_rows, sizeof(line_rows) / sizeof(*line_rows)},
};

static void refuse_row(const char *what, const struct row *row, size_t step) {
    static const char behind[] = "POST /reset HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    struct client c;
    connect_client(&c);
    for (size_t at = 0; at < row->len; at += step) {
        send_bytes(&c, row->bytes + at, row->len - at < step ? row->len - at : step);
        if (step < row->len)
            breathe();
    }
    send_bytes(&c, behind, sizeof(behind) - 1);
    pump((receive(&c), c.eof || c.got.len > 4000));
    int status = c.got.len > 12 ? atoi(c.got.s + 9) : 0;
    bool refused = status == 0 || (status >= 400 && status <= 505);
    bool as_told = row->status < 0 ? refused : status == row->status;
    if (!as_told || !c.eof || it.resets || fake_pod_seen(it.pod))
        fail_msg("%s, %s, %zu bytes at a time: status %d, %d resets, %zu asks: %s", what, row->what,
                 step, status, it.resets, fake_pod_seen(it.pod), text_str(&c.got));
    drop_client(&c);
}

static void refuse_all(size_t step) {
    for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++)
        for (size_t n = 0; n < classes[i].n; n++)
            refuse_row(classes[i].what, &classes[i].rows[n], step);
    assert_int_equal(ask("GET /livez").status, 200);
}

static void what_may_be_cut_differently_is_refused_and_ends_the_connection(void **state) {
    (void)state;
    refuse_all(4096);
}

static void in_pieces_it_is_refused_as_well(void **state) {
    (void)state;
    refuse_all(7);
}

// Each is one request, answered as such, and the one behind is the next.
static const struct row harmless_rows[] = {
    {"empty line before", R("\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n"), 200},
    {"a body where none is wanted",
     R("GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 24\r\n\r\nPOST /reset HTTP/1.1\r\n\r\n"),
     200},
    {"no blank behind the colon", R("GET /livez HTTP/1.1\r\nHost:x\r\n\r\n"), 200},
    {"tab behind the colon", R("GET /livez HTTP/1.1\r\nHost:\tx\r\n\r\n"), 200},
    {"empty value", R("GET /livez HTTP/1.1\r\nHost: x\r\nX-A:\r\n\r\n"), 200},
    {"8 bits in a value", R("GET /livez HTTP/1.1\r\nHost: x\r\nX-A: \xc3\xa4\r\n\r\n"), 200},
    {"address as host", R("GET /livez HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"), 200},
    {"underscores are other names",
     R("GET /livez HTTP/1.1\r\nHost: x\r\nContent_Length: 9\r\nTransfer_Encoding: chunked\r\n\r\n"),
     200},
    {"TE is no coding of this body", R("GET /livez HTTP/1.1\r\nHost: x\r\nTE: chunked\r\n\r\n"),
     200},
    {"hop by hop changes no length",
     R("POST /nowhere HTTP/1.1\r\nHost: x\r\nConnection: Content-Length\r\nContent-Length: "
       "24\r\n\r\n"
       "POST /reset HTTP/1.1\r\n\r\n"),
     404},
    {"no upgrade",
     R("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"), 200},
    {"another server's target", R("GET http://y/livez HTTP/1.1\r\nHost: x\r\n\r\n"), 404},
    {"no target but all", R("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), 404},
    {"a method of nobody's", R("BREW /livez HTTP/1.1\r\nHost: x\r\n\r\n"), 405},
    {"method in lower case", R("post /reset HTTP/1.1\r\nHost: x\r\n\r\n"), 405},
};

static void what_is_odd_and_clear_is_one_request(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(harmless_rows) / sizeof(*harmless_rows); i++) {
        const struct row *row = &harmless_rows[i];
        struct client c;
        connect_client(&c);
        send_bytes(&c, row->bytes, row->len);
        struct reply r = take_reply(&c);
        if (r.status != row->status)
            fail_msg("%s: %d instead of %d", row->what, r.status, row->status);
        send_text(&c, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
        r = take_reply(&c);
        if (r.status != 503 || it.resets)
            fail_msg("%s: then %d, %d resets", row->what, r.status, it.resets);
        drop_client(&c);
    }
}

static void a_nul_anywhere_in_a_header_is_refused(void **state) {
    (void)state;
    static const char bytes[] = LINE "X-Ochopod-Target: ab\r\n" CL0 "\r\n";
    for (size_t at = 0; at < sizeof(bytes) - 1; at++) {
        if (bytes[at] == '\r')
            continue; // in the place of a CR it ends a line as one does, and hides nothing
        char broken[sizeof(bytes)];
        memcpy(broken, bytes, sizeof(bytes));
        broken[at] = '\0';
        struct client c;
        connect_client(&c);
        send_bytes(&c, broken, sizeof(broken) - 1);
        // What never ends its header is left to the clock.
        for (int i = 0; i < 50 && !c.eof && !reply_len(&c); i++) {
            breathe();
            receive(&c);
        }
        int status = reply_len(&c) ? take_reply(&c).status : 400;
        if (status < 400 || fake_pod_seen(it.pod))
            fail_msg("NUL at %zu: %d", at, status);
        drop_client(&c);
    }
}

int main(void) {
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(what_may_be_cut_differently_is_refused_and_ends_the_connection),
        test(in_pieces_it_is_refused_as_well),
        test(what_is_odd_and_clear_is_one_request),
        test(a_nul_anywhere_in_a_header_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
