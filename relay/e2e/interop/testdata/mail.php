<?php // mail() as web applications call it: sender
$headers = ["From" => "Grüner Shop <" . $argv[1] . ">", "Cc" => "b@example.org", "Bcc" => "hidden@example.com",
    "MIME-Version" => "1.0", "Content-Type" => "text/plain; charset=utf-8", "Content-Transfer-Encoding" => "8bit"];
$text = "Grüße\n.\n..two\n" . str_repeat("x", 300); // mail() ends the line
$ok = mail("a@example.org", "=?utf-8?B?" . base64_encode("Ihre Bestellung – Größe") . "?=", $text, $headers, "-f" . $argv[1]);
exit($ok ? 0 : 1);
