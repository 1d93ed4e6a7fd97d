# Cuts messages, base64, one a line, into field names and body with Email::Simple.
# Prints for each a JSON list: names in lower case, body in base64.
use strict;
use warnings;
use Email::Simple;
use MIME::Base64;

$| = 1;
while (my $line = <STDIN>) {
    my $m = Email::Simple->new(decode_base64($line));
    my @pairs = $m->header_raw_pairs;
    my @names = map { $pairs[2 * $_] } 0 .. $#pairs / 2;
    print "[[", join(",", map { "\"" . lc($_) . "\"" } @names), "],\"", encode_base64($m->body, ""), "\"]\n";
}
