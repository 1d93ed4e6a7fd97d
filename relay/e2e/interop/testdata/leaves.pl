# Takes messages apart by MIME::Parser, as a judge of ours. Reads messages in
# base64, one a line. Prints for each a JSON list of the decoded bytes of its
# leaves, in base64, or null where the parser fails.
use strict;
use warnings;
use MIME::Base64;
use MIME::Parser;

my $parser = MIME::Parser->new;
$parser->output_to_core(1);
$parser->tmp_to_core(1);
$parser->extract_nested_messages(0);

sub leaves {
    my ($part) = @_;
    return map { leaves($_) } $part->parts if $part->parts;
    return '"' . encode_base64($part->bodyhandle ? $part->bodyhandle->as_string : "", "") . '"';
}

local $SIG{__WARN__} = sub { };
$| = 1;
while (my $line = <STDIN>) {
    my $found = eval { $parser->parse_data(decode_base64($line)) };
    my $list = eval { "[" . join(",", leaves($found)) . "]" };
    print defined $list ? $list : "null", "\n";
}
