Set-Note 'ObjectId' $app.Id
