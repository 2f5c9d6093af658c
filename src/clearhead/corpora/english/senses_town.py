"""More scenes for English words with several senses: letters, watches, parks, tools and travel. See senses.py."""

RULES = """
letter_mail
- The postal clerk had a <letter^mail> for {A}, with a foreign stamp on it. It came from a cousin who lived on an
  island.
- {A} wrote a long <letter^mail>, folded it twice, and put it into an envelope. It took nine days to arrive.
- There was no <letter^mail> in the box, only an old newspaper. {A} had been waiting for one since summer.
- {A} kept all the <letters^mail> from {A.his} friends in a shoe box and read them again on rainy days.

letter_alphabet
- "Which <letter^alphabet> comes after F?" asked the teacher. {A} sang the alphabet quietly and said, "G!"
- The first <letter^alphabet> on the sign was missing, so the shop was called "AKERY". {A} painted a new B.
- {A} could not read yet, but {A.he} knew the <letters^alphabet> of {A.his} own name and wrote them on every wall.
- The word "water" has five <letters^alphabet>, said {A}, and "sea" has only three.

watch_clock
- {A} looked at {A.his} <watch^clock>. It was ten past eight, and the bus was late again.
- The old silver <watch^clock> had stopped at noon. {A} wound it up, held it to {A.his} ear, and heard it tick.
- {A} wore a <watch^clock> on each wrist. "One for the time here," {A.he} said, "and one for the time at home."
- "Your <watch^clock> is five minutes slow," said the conductor. {A} had missed the train because of it.

watch_look
- {A} liked to <watch^look> the ships come in. {A.He} sat on the wall of the harbour until it was dark.
- The cat did not move. It <watched^look> the hole in the wall, and {A} <watched^look> the cat.
- "<Watch^look> me!" shouted {A} and jumped from the highest stone into the lake.
- All the neighbours came out to <watch^look> the parade. {A} <watched^look> it from the roof.

park_garden
- There were old trees and a pond in the <park^garden>. {A} fed the ducks and sat on a bench in the shade.
- On Sundays a band played in the <park^garden>. {A} lay on the grass with closed eyes and listened.
- {A} ran three times around the <park^garden> every morning, past the swings and the flower beds.
- The town had only one <park^garden>, and when someone wanted to cut down its trees, {A} tied {A.himself} to the
  biggest one.

park_car
- There was nowhere to <park^car>. {A} drove around the market square four times before another car pulled out.
- {A} <parked^car> the truck in front of the bakery and turned off the engine.
- "You cannot <park^car> here," said the police officer. "This place is for buses." So {A} drove on.
- {A} learned to <park^car> the car between two barrels. The first barrel rolled down the road.

nail_finger
- {A} bit the <nail^finger> of {A.his} thumb whenever {A.he} had to think hard.
- After a day in the garden there was earth under every <nail^finger>. {A} scrubbed {A.his} hands with a brush.
- {A} painted each <nail^finger> a different colour: red, blue, green, yellow, and white.
- The nurse cut the baby's tiny <nails^finger>, and {A} held the little hand still.

nail_iron
- {A} hit the <nail^iron> with the hammer, but it bent. The second <nail^iron> went straight into the wood.
- A rusty <nail^iron> stuck out of the board. {A} pulled it out with the pliers so that nobody would step on it.
- The picture hung on a single <nail^iron>. When {A} closed the door too hard, it fell down.
- "I need twelve <nails^iron> and a saw," said {A} to the shopkeeper. "I am building a fence."

trunk_elephant
- The elephant reached over the fence with its <trunk^elephant> and took the banana out of {A}'s hand.
- The elephants filled their <trunks^elephant> with water and sprayed it over their backs. {A} got wet too.
- A baby elephant does not know what to do with its <trunk^elephant>, {A} read. Sometimes it steps on it.
- The elephant lifted the heavy log with its <trunk^elephant> and laid it down at {A}'s feet.

trunk_luggage
- {A} packed shirts, books, and a coat into the <trunk^luggage> and sat on the lid to close it.
- There was an old <trunk^luggage> in the attic with brass corners. Inside, under a folded dress, {A} found a map.
- Two porters carried the <trunk^luggage> up the stairs of the hotel. "What is in it, stones?" they asked. "Books,"
  said {A}.
- The <trunk^luggage> was sent to the wrong port, and {A} wore the same clothes for two weeks.

seal_animal
- A <seal^animal> lay on the warm rocks and looked at {A} with big dark eyes. Then it slid into the sea.
- The <seals^animal> at the zoo were fed at three. {A} threw a herring, and the biggest one caught it in the air.
- Out on the ice an old <seal^animal> called for its white pup. {A} kept far away so as not to disturb them.
- A <seal^animal> followed {A}'s boat into the harbour, because it smelled the fish.

seal_wax
- The paper was folded and closed with a red <seal^wax>. {A} broke it and read the secret message.
- {A} dripped hot wax on the envelope and pressed a stamp into it. "With this <seal^wax> nobody can open it unseen."
- "Is the <seal^wax> unbroken?" asked the judge. {A} nodded and laid the document on the table.
- The <seal^wax> of the city shows a ship and two keys. {A} pressed it into the soft wax at the foot of the page.

palm_hand
- {A} held the tiny frog in the <palm^hand> of {A.his} hand and felt its heart beat.
- The old fortune teller read the lines in {A}'s <palm^hand> and saw a long journey.
- {A}'s <palms^hand> were red from pulling the rope, and one finger was bleeding.
- "Show me your <palm^hand>," said the nurse, and pulled out the thorn. {A} did not cry.

palm_tree
- A tall <palm^tree> grew beside the well in the desert, and {A} rested in its thin shade.
- {A} climbed the <palm^tree> and threw down three coconuts.
- The beach was lined with <palms^tree>, and their leaves rustled in the warm wind above {A}'s hammock.
- The storm bent the <palm^tree> to the ground, but the next morning it stood upright again. {A} was amazed.

mouse_animal
- A <mouse^animal> lived behind the stove and came out at night to eat the crumbs that {A} left for it.
- The cat caught a <mouse^animal> in the barn. {A} took it away from the cat and set it free in the field.
- There was a hole in the cheese and another in the flour bag. "We have a <mouse^animal>," said {A}.
- The grey <mouse^animal> pulled in its tail and sat very still until {A} had gone past.

mouse_computer
- {A} moved the <mouse^computer> and clicked on the picture. Nothing happened, because the cable was not plugged in.
- The <mouse^computer> of the old computer had only one button. {A} had to laugh.
- "Click twice with the <mouse^computer>," said the engineer, and the file opened on {A}'s screen.
- {A} bought a new keyboard and a <mouse^computer> without a cable for the office.

crane_bird
- A white <crane^bird> stood on one leg in the shallow water and waited for a fish. {A} drew it in a notebook.
- The <cranes^bird> danced in the wet field, bent their long necks, and spread their wings. {A} forgot the time.
- Every autumn {A} hears the cries of the <cranes^bird> as they pass high over the house on their way south.
- A <crane^bird> with a broken wing lived in {A}'s garden until it could <fly^move> again.

crane_machine
- The yellow <crane^machine> lifted the steel beams to the top of the new house. {A} looked up at the driver.
- In the harbour a <crane^machine> took one container after another from the ship, and {A} counted them.
- "How do you get into the <crane^machine>?" asked {A}. "There is a ladder inside the tower," said the builder.
- The bridge was so heavy that two <cranes^machine> had to lift it together. {A} turned the hook by hand.

ruler_person
- The old <ruler^person> of the country lived in a castle, wore a crown, and asked {A} for advice.
- A wise <ruler^person> listens before giving orders. So {A} spoke openly in the throne room.
- The people wanted a new <ruler^person>, because the old one had started three wars. {A} carried their message to the
  palace.
- Every <ruler^person> of that land had a statue in the square. {A} cleaned their stone crowns once a year.

ruler_tool
- {A} laid the <ruler^tool> on the paper and drew a line exactly ten centimetres long.
- {A} had forgotten {A.his} <ruler^tool>, so the sides of the square were crooked.
- "Measure it with the <ruler^tool>," said the teacher. {A} measured. The leaf was seven centimetres wide.
- {A} broke {A.his} wooden <ruler^tool> in two. Now each half measures only fifteen centimetres.

date_fruit
- {A} ate a sweet <date^fruit> and put the stone into {A.his} pocket, to plant it at home.
- The merchant filled a bag with nuts and <dates^fruit>, and {A} paid two coins for it.
- {A} cut the <dates^fruit> into small pieces and mixed them into the cake instead of sugar.
- After the long fast {A} first ate a <date^fruit> and drank a glass of milk. Nothing had ever tasted better.

date_day
- "What <date^day> is it today?" asked {A}. It was the first of June, and {A.he} had forgotten a birthday.
- They had to choose a <date^day> for the wedding. {A} looked at the calendar and pointed to the ninth of May.
- The <date^day> on the coin was hard to read, but {A} was sure that it was three hundred years old.
- {A} wrote the <date^day> in the corner of the page, as {A.he} did every evening, and began the diary.
"""
